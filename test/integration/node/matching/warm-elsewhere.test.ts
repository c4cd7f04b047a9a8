/** An instance that was ready before a client came is no cold start of that client's, also when this node hears of it only now. */
import { afterEach, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(closeEverything);

test.each([
  ['warm', 60_000, false],
  ['started for it', 0, true],
  ['of a linker that does not say since when it is ready', undefined, true],
] as const)('an instance that is %s', async (_what, readyMs, isCold) => {
  const { node, port, backendPort } = await startLoneNode({ routes: { 'app.test': {} } });
  const client = await connectClient(port);
  client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
  await eventually('it is held', () => node.held === 1);
  const app = await ScriptedApp.serving(() => ok());
  await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test', ...(readyMs === undefined ? {} : { readyMs }) });
  const { head } = await client.response();
  const seen = (counts: readonly number[] | undefined): number => (counts ?? []).reduce((sum, count) => sum + count, 0);
  const { counters, coldStages } = node.routes.get('app.test') ?? {};
  expect(seen(counters?.hold.counts)).toBe(1);
  expect(seen(counters?.coldStart.counts)).toBe(isCold ? 1 : 0);
  expect(seen(coldStages?.histograms.first_byte.counts)).toBe(isCold ? 1 : 0);
  expect(/server-timing/i.test(String(head))).toBe(isCold);
});
