/** How long the linker took to connect to the application, as the node that has the client hears it. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../src/cluster/memory/directory.ts';
import { AccessLines } from '../../support/access-lines.ts';
import { ask } from '../../support/clients.ts';
import { CountingApp, closeAll, ROUTE, startNodeBehindDoor, startSomeLinker, startSomeNode } from '../../support/harness/some-nodes.ts';
import { RecordedSpans, theSpan } from '../../support/recorded-spans.ts';

let lines: AccessLines;
let app: CountingApp;

beforeEach(async () => {
  lines = new AccessLines();
  app = await CountingApp.listen();
});

afterEach(async () => {
  await closeAll();
});

/** Below it nothing was measured. */
const isTime = (ms: unknown): boolean => typeof ms === 'number' && ms > 0 && ms < 10_000;

test('is in the access log: for a new connection; for a kept one it is 0', async () => {
  const one = await startSomeNode({ watchers: [lines.log] });
  await startSomeLinker(one, app, { concurrency: 1 });
  await ask(one.url, { host: ROUTE });
  await ask(one.url, { host: ROUTE });
  const [first, second] = [await lines.next(), await lines.next()];
  expect([isTime(first.connectMs), second.connectMs]).toEqual([true, 0]);
});

test('is heard through a relay, too', async () => {
  const directory = new MemoryDirectory();
  const home = await startSomeNode({ id: 'home', directory });
  const holder = await startNodeBehindDoor({ id: 'holder', directory, watchers: [lines.log] });
  await startSomeLinker(home, app);
  expect(await ask(holder.url, { host: ROUTE })).toMatchObject({ status: 200 });
  expect(home.node.handoffs.results.relayed).toBeGreaterThan(0);
  expect(isTime((await lines.next()).connectMs)).toBe(true);
});

test('is in the stream’s span', async () => {
  const recorded = new RecordedSpans();
  const one = await startSomeNode({ watchers: [recorded.tracing.visits] });
  await startSomeLinker(one, app);
  await ask(one.url, { host: ROUTE });
  expect(isTime(theSpan(await recorded.end(), 'stream').attributes['pullproxy.connect_ms'])).toBe(true);
});
