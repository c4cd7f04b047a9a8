/** What a linker of one route may do to those of another, and to the node's network: nothing. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { FakeCluster } from '../../support/harness/fake-cluster.ts';
import { closeAll, dialRawLinker, startSomeNode } from '../../support/harness/some-nodes.ts';

const [OURS, THEIRS] = ['ours.example.com', 'theirs.example.com'];
const HOME = { home: true, state: 'ready', active: 0 } as const;

afterEach(closeAll);

/** A tenant's route has its own secret: its name. */
async function node(cluster: FakeCluster) {
  return startSomeNode({ cluster: () => cluster, secrets: (route) => [route] });
}

test('an instance stays at home whatever linkers of other routes say with its id', async () => {
  const cluster = new FakeCluster();
  const one = await node(cluster);
  const ours = await dialRawLinker(one.backendPort, { route: OURS, instance: 'same' }, OURS);
  ours.link.report(HOME);
  await eventually('it is known', () => cluster.instances.size === 1);
  const theirs = await dialRawLinker(one.backendPort, { route: THEIRS, instance: 'same' }, THEIRS);
  theirs.link.report(HOME);
  theirs.link.report({ ...HOME, home: false });
  theirs.link.report(HOME);
  theirs.link.askRetire();
  await eventually('they are heard', () => theirs.said.includes('retire true'));
  theirs.link.link.close('for the test');
  await eventually('they are gone', () => one.node.routes.get(THEIRS)?.slots.lenders.length === 0);
  const route = one.node.routes.get(OURS);
  expect(route && one.node.homes(route)).toBe(1);
  ours.link.askRetire();
  await eventually('it may still leave', () => ours.said.includes('retire true'));
});

test('a linker has no say in whether another one with its id leaves', async () => {
  const one = await node(new FakeCluster());
  const home = await dialRawLinker(one.backendPort, { route: OURS, instance: 'same' }, OURS);
  home.link.report(HOME);
  const other = await dialRawLinker(one.backendPort, { route: OURS, instance: 'same' }, OURS);
  other.link.askRetire();
  await eventually('it may not', () => other.said.includes('retire false'));
});

test('an instance does no more at once than it can, whatever it reports', async () => {
  const cluster = new FakeCluster();
  const one = await node(cluster);
  const linker = await dialRawLinker(one.backendPort, { route: OURS, concurrency: 3 }, OURS);
  linker.link.report({ ...HOME, active: Number.MAX_SAFE_INTEGER });
  await eventually('it is known', () => cluster.instances.size === 1);
  expect([...cluster.instances.values()][0]?.active).toBe(3);
});

test('a linker does not make the node dial: moves that the node did not ask for end its link', async () => {
  let connections = 0;
  const inside = createServer((socket) => {
    connections++;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(inside, 'listening');
  const one = await node(new FakeCluster());
  const linker = await dialRawLinker(one.backendPort, { route: OURS }, OURS);
  linker.link.moveFailed(1, `127.0.0.1:${(inside.address() as AddressInfo).port}`);
  linker.link.grant(1);
  await eventually('the link is over', () => linker.said.some((said) => said.startsWith('down')));
  await dialRawLinker(one.backendPort, { route: OURS }, OURS);
  expect([connections, one.node.handoffs.results.failed]).toEqual([0, 0]);
  inside.close();
});

test('an address that no linker can dial costs the asker its slot, and nobody a link', async () => {
  const cluster = new FakeCluster();
  const one = await node(cluster);
  const linker = await dialRawLinker(one.backendPort, { route: OURS }, OURS);
  linker.link.grant(2);
  await eventually('it is lent', () => cluster.levels.get(OURS) === 2);
  for (const address of ['x'.repeat(60_000), '', 'no address', '-:1']) cluster.listener?.onWant(OURS, 1, { id: 'other', address });
  expect(cluster.shorts.map(({ count }) => count)).toEqual([1, 1, 1, 1]);
  cluster.listener?.onWant(OURS, 1, { id: 'other', address: '192.0.2.1:9080' });
  await eventually('a real one is moved to', () => linker.said.length > 0);
  expect(linker.said).toEqual(['move 1 to 192.0.2.1:9080']);
});

test('a relay says nothing about its instance', async () => {
  const one = await node(new FakeCluster());
  const relay = await dialRawLinker(one.backendPort, { route: OURS, relay: true }, OURS);
  relay.link.report(HOME);
  await eventually('the link is over', () => relay.said.some((said) => said.startsWith('down')));
});

test('a linker does not fill the node with routes: those beyond its share do not become known, however often it comes', async () => {
  const one = await startSomeNode({ cluster: () => new FakeCluster(), secrets: () => ['shop'], routesPerSecretMax: 2 });
  for (const name of ['a', 'b']) await dialRawLinker(one.backendPort, { route: `${name}.shop.test` }, 'shop');
  for (let times = 0; times < 3; times++) {
    const more = await dialRawLinker(one.backendPort, { route: `more${times}.shop.test` }, 'shop');
    await eventually('it is refused', () => more.said.some((said) => said.includes('too many of this secret')));
    await eventually('it is gone', () => one.lines.filter(({ msg }) => msg === 'linker gone').length === times + 1);
  }
  expect([...one.node.routes.all()].map(({ name }) => name)).toEqual(['a.shop.test', 'b.shop.test']);
});

test('a linker does not fill the node with links: those beyond the limit of its secret are refused, and others have room', async () => {
  const secrets = (route: string): string[] => [route.endsWith('.shop.test') ? 'shop' : 'other'];
  const one = await startSomeNode({ cluster: () => new FakeCluster(), secrets, linksPerSecretMax: 2 });
  const [first] = [
    await dialRawLinker(one.backendPort, { route: 'a.shop.test' }, 'shop'),
    await dialRawLinker(one.backendPort, { route: 'b.shop.test' }, 'shop'),
  ];
  const more = await dialRawLinker(one.backendPort, { route: 'a.shop.test' }, 'shop');
  await eventually('it is refused', () => more.said.some((said) => said.includes('2 links of this secret')));
  await dialRawLinker(one.backendPort, { route: 'other.test' }, 'other');
  await eventually('another secret has room', () => one.node.routes.get('other.test') !== undefined);
  first.link.link.close('it leaves');
  await eventually('its link is gone', () => one.lines.some(({ msg, route }) => msg === 'linker gone' && route === 'a.shop.test'));
  await dialRawLinker(one.backendPort, { route: 'c.shop.test' }, 'shop');
  await eventually('a link that ends makes room', () => one.node.routes.get('c.shop.test') !== undefined);
});
