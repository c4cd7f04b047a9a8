import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { LinkServer } from '../../../../src/node/lenders/link-server.ts';
import { makeCertificate } from '../../../support/certificate.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeCluster } from '../../../support/harness/fake-cluster.ts';
import { closeAll, dialRawLinker, expectQuiet, ROUTE, SECRET, type SomeNode, startSomeNode } from '../../../support/harness/some-nodes.ts';
import { closeClients, connectClient } from '../../../support/raw-client.ts';

const sockets: Socket[] = [];
const made = makeCertificate('backend.test');
const certificate = { cert: made.cert, key: made.key };
made.remove();

afterEach(async () => {
  closeClients();
  for (const socket of sockets.splice(0)) socket.destroy();
  await closeAll();
});

function lendersOf({ node }: SomeNode): number {
  return node.routes.get(ROUTE)?.slots.lenders.length ?? 0;
}

describe('a linker that does not know the secret', () => {
  test('gets nothing: no slot of it is used, its route stays unknown', async () => {
    const one = await startSomeNode();
    await expect(dialRawLinker(one.backendPort, {}, 'wrong')).rejects.toThrow('has not proved a secret that counts for its route');
    expect([one.node.routes.get(ROUTE), lendersOf(one)]).toEqual([undefined, 0]);
    const client = await connectClient(one.port);
    client.send(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    expect((await client.response()).status).toBe(404);
  });

  test('of its route gets nothing, whatever other routes accept', async () => {
    const one = await startSomeNode({
      secrets: (route) => (route === 'theirs.example.com' ? ['theirs'] : route === ROUTE ? ['ours'] : []),
    });
    await dialRawLinker(one.backendPort, { route: 'theirs.example.com' }, 'theirs');
    await expect(dialRawLinker(one.backendPort, { route: ROUTE }, 'theirs')).rejects.toThrow(
      'has not proved a secret that counts for its route',
    );
    await expect(dialRawLinker(one.backendPort, { route: 'nobody.example.com' }, '')).rejects.toThrow(
      'has not proved a secret that counts for its route',
    );
    expect(one.node.routes.get('theirs.example.com')?.slots.lenders.length).toBe(1);
  });

  test.each([
    ['', undefined],
    [', nor one that begins no TLS handshake', certificate],
  ])('nor one that says nothing can keep others out: the oldest unproved connections go%s', async (_name, backendTls) => {
    const one = await startSomeNode({ backendTls });
    let closed = 0;
    for (let i = 0; i < 1_200; i++) {
      const socket = connect(one.backendPort, '127.0.0.1');
      sockets.push(socket);
      socket.on('error', () => {}).once('close', () => closed++);
      if (i % 100 === 99) await once(socket, 'connect');
    }
    await eventually('those beyond 1,024 have gone', () => closed === 176);
    const linker = await dialRawLinker(one.backendPort, {}, SECRET, backendTls?.cert);
    linker.link.grant(1);
    await expectQuiet(one, 1);
    await eventually('it took the place of one', () => closed === 177);
    expect(sockets.slice(0, 177).every(({ destroyed }) => destroyed)).toBe(true);
  });
});

test('linkers are sent away until the node serves', async () => {
  const server = new LinkServer({ nodeId: 'n1', secrets: () => [SECRET], log: pino({ level: 'silent' }) });
  const port = Number((await server.listen('127.0.0.1', 0)).split(':')[1]);
  await expect(dialRawLinker(port)).rejects.toThrow();
  const linked: string[] = [];
  const ignore = (): void => {};
  server.serve(
    {
      linked: (route) => (linked.push(route) > 0 ? null : 'no'),
      heard: () => ({
        idle: ignore,
        moveFailed: ignore,
        report: ignore,
        retire: ignore,
        startAnother: ignore,
        recalled: ignore,
        gathersAtMost: ignore,
      }),
      gone: ignore,
    },
    `127.0.0.1:${port}`,
  );
  await dialRawLinker(port);
  expect([linked, server.links]).toEqual([[ROUTE], 1]);
  server.close();
});

test('a linker for which there are too many routes is cut off', async () => {
  const one = await startSomeNode();
  // As if 100,000 were known.
  one.node.routes.linked = () => null;
  const linker = await dialRawLinker(one.backendPort);
  await eventually('it knows', () =>
    linker.said.some((said) => said.startsWith('down: refused by the peer: this node knows too many routes')),
  );
  expect(one.node.routes.get(ROUTE)).toBeUndefined();
});

describe('a linker', () => {
  test('that lends more than it has is cut off, and its slots are gone', async () => {
    const one = await startSomeNode();
    const linker = await dialRawLinker(one.backendPort, { concurrency: 3 });
    linker.link.grant(2);
    await expectQuiet(one, 2);
    linker.link.grant(2);
    await eventually('the link is closed', () => linker.said.some((said) => said.startsWith('down')));
    await eventually('the lender is gone', () => lendersOf(one) === 0);
    await expectQuiet(one, 0);
  });

  test('whose link breaks leaves, and clients of its route are held for the next one', async () => {
    const one = await startSomeNode();
    const linker = await dialRawLinker(one.backendPort);
    linker.link.grant(4);
    await expectQuiet(one, 4);
    linker.link.link.close('for the test');
    await eventually('the lender is gone', () => lendersOf(one) === 0);
    const client = await connectClient(one.port);
    client.send(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    await eventually('it is held', () => one.node.held === 1);
  });

  test('is told whether it is the newest, also when it links later', async () => {
    const cluster = new FakeCluster();
    const one = await startSomeNode({ cluster: () => cluster });
    const old = await dialRawLinker(one.backendPort, { instance: 'old', seq: 1 });
    cluster.listener?.onNewest(ROUTE, 'old');
    await eventually('it knows', () => old.said.includes('newest true'));
    cluster.listener?.onNewest(ROUTE, 'new');
    const next = await dialRawLinker(one.backendPort, { instance: 'new', seq: 2 });
    await eventually('both know', () => old.said.includes('newest false') && next.said.includes('newest true'));
  });

  test('may retire when the cluster lets it, and not when the cluster does not answer', async () => {
    const cluster = new FakeCluster();
    const one = await startSomeNode({ cluster: () => cluster });
    const linker = await dialRawLinker(one.backendPort);
    linker.link.askRetire();
    await eventually('not where it has no home', () => linker.said.includes('retire false'));
    linker.said.length = 0;
    linker.link.report({ home: true, state: 'ready', active: 0 });
    linker.link.askRetire();
    await eventually('it may', () => linker.said.includes('retire true'));
    cluster.answerRetire = () => Promise.reject(new Error('away'));
    linker.link.askRetire();
    await eventually('it may not', () => linker.said.includes('retire false'));
  });

  test('asks for one more instance', async () => {
    const asked: unknown[] = [];
    const one = await startSomeNode({ startNeeded: (...what) => asked.push(what) });
    const linker = await dialRawLinker(one.backendPort);
    linker.link.askStart();
    await eventually('it was passed on', () => asked.length === 1);
    expect(asked).toEqual([[ROUTE, 1]]);
  });
});

describe('an instance is known to the cluster', () => {
  test('from its home link, until that breaks or another node is its home', async () => {
    const cluster = new FakeCluster();
    const one = await startSomeNode({ cluster: () => cluster });
    const linker = await dialRawLinker(one.backendPort, { instance: 'i1', seq: 7, startId: 'start1', concurrency: 3 });
    linker.link.report({ home: true, state: 'ready', active: 2 });
    await eventually('it is known', () => cluster.instances.size === 1);
    expect(cluster.instances.get('i1')).toEqual({
      ...{ id: 'i1', seq: 7, concurrency: 3, state: 'ready', active: 2, startId: 'start1' },
      placesMax: 10,
    });
    linker.link.report({ home: false, state: 'ready', active: 2 });
    await eventually('it has another home', () => cluster.instances.size === 0);
    linker.link.report({ home: true, state: 'ready', active: 2 });
    await eventually('it is back', () => cluster.instances.size === 1);
    linker.link.link.close('for the test');
    await eventually('it is gone', () => cluster.instances.size === 0);
  });

  test('and stays known when its old link breaks after it has linked anew', async () => {
    const cluster = new FakeCluster();
    const one = await startSomeNode({ cluster: () => cluster });
    const [before, after] = [await dialRawLinker(one.backendPort), await dialRawLinker(one.backendPort)];
    before.link.report({ home: true, state: 'ready', active: 0 });
    await eventually('it is known', () => cluster.instances.size === 1);
    after.link.report({ home: true, state: 'ready', active: 1 });
    await eventually('the new link said so', () => cluster.instances.get('raw1')?.active === 1);
    before.link.link.close('for the test');
    await eventually('the old lender is gone', () => lendersOf(one) === 1);
    expect(cluster.instances.size).toBe(1);
    expect([...one.node.routes.all()].map((route) => one.node.homes(route))).toEqual([1]);
  });
});

test('the cluster hears of every change of the idle slots: lent, used, returned, gone', async () => {
  const cluster = new FakeCluster();
  const one = await startSomeNode({ cluster: () => cluster });
  const says = (level: number): Promise<void> => eventually(`the level is ${level}`, () => cluster.levels.get(ROUTE) === level);
  const linker = await dialRawLinker(one.backendPort);
  linker.link.grant(3);
  await says(3);
  const client = await connectClient(one.port);
  client.send(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
  await says(2);
  cluster.listener?.onWant(ROUTE, 5, { id: 'other', address: '192.0.2.1:9080' });
  await says(0);
  expect(cluster.shorts).toEqual([{ route: ROUTE, count: 3, asker: { id: 'other', address: '192.0.2.1:9080' } }]);
  await eventually('the move was asked for', () => linker.said.includes('move 2 to 192.0.2.1:9080'));
  linker.link.grant(2);
  await says(2);
  linker.link.link.close('for the test');
  await says(0);
});
