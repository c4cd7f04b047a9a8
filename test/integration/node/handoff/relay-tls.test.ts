import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';
import type { BackendTls } from '../../../../src/node/lenders/link-server.ts';
import { type Certificate, makeCertificate } from '../../../support/certificate.ts';
import { ask } from '../../../support/clients.ts';
import {
  CountingApp,
  closeAll,
  expectQuiet,
  ROUTE,
  type SomeNode,
  startSomeLinker,
  startSomeNode,
} from '../../../support/harness/some-nodes.ts';

let ours: Certificate;
let theirs: Certificate;

beforeAll(() => {
  ours = makeCertificate('ours.test');
  theirs = makeCertificate('theirs.test');
});

afterEach(closeAll);

afterAll(() => {
  ours.remove();
  theirs.remove();
});

/** A linker at `home`, which trusts only `home`, so that it can't be moved to `holder`. */
async function twoNodes(homeTls: Partial<BackendTls>): Promise<{ home: SomeNode; holder: SomeNode }> {
  const directory = new MemoryDirectory();
  const app = await CountingApp.listen();
  const home = await startSomeNode({ id: 'home', directory, backendTls: { ...ours, ...homeTls } });
  const holder = await startSomeNode({ id: 'holder', directory, backendTls: theirs, routes: { [ROUTE]: { holdTimeout: '700ms' } } });
  await startSomeLinker(home, app, { concurrency: 2, tls: { ca: ours.cert, cert: theirs.cert, key: theirs.key } });
  return { home, holder };
}

test('nodes relay to each other over TLS, and trust whom linkers must be certified by', async () => {
  const { home, holder } = await twoNodes({ ca: theirs.cert });
  expect((await ask(holder.url, { host: ROUTE })).status).toBe(200);
  expect(home.node.handoffs.results.relayed).toBe(1);
  await expectQuiet(holder);
  await expectQuiet(home, 2);
});

test('nothing is relayed to a node whose certificate is not trusted, and the slots come back', async () => {
  const { home, holder } = await twoNodes({});
  expect((await ask(holder.url, { host: ROUTE })).status).toBe(503);
  expect(home.lines.find(({ msg }) => msg === 'the node can not relay')?.reason).toMatch(/self-signed certificate/);
  await expectQuiet(home, 2);
});
