/** Which nodes an instance is linked to, and where its slots go. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { freePort } from '../../../src/linker/free-port.ts';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';

const GET = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n';

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  closeTcpApps();
});

async function answeringApp(): Promise<TcpApp> {
  return TcpApp.start((peer) => {
    peer.socket.on('data', () => peer.answer());
    peer.socket.on('end', () => peer.socket.end());
  });
}

describe('home', () => {
  test('all slots are lent to the one proxy, with what the instance is', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start();
    const running = new RunningLinker({ proxies: [node.address], app: app.address, instance: 'abc123', startId: 's1' });
    await running.linker.ready;
    const instance = await node.instance();
    await instance.idle(4);
    expect(instance.hello).toMatchObject({ route: 'app.example.com', instance: 'abc123', startId: 's1', concurrency: 4 });
    expect(Math.abs(instance.hello.seq - Date.now())).toBeLessThan(10_000);
    expect(instance.lastReport).toEqual({
      home: true,
      state: 'ready',
      active: 0,
      answered: false,
      concurrency: 4,
      setBy: 'flag',
      changes: {},
      unusable: 0,
    });
    expect(running.said('ready')).toMatchObject([
      { route: 'app.example.com', instance: 'abc123', app: `127.0.0.1:${app.address.port}`, node: 'n1' },
    ]);
  });

  test('an instance id is made of lower-case letters and digits when none is given', async () => {
    const { linker } = new RunningLinker({ proxies: [{ host: '127.0.0.1', port: 1 }], app: { host: '127.0.0.1', port: 1 } });
    expect(linker.instance).toMatch(/^[a-z0-9]{12}$/);
  });

  test('the node is linked while the application is still starting', async () => {
    const node = await FakeNode.start();
    const running = new RunningLinker({ proxies: [node.address], app: { host: '127.0.0.1', port: await freePort() } });
    const instance = await node.instance();
    await eventually('it is reported', () => instance.lastReport?.state === 'starting');
    expect(instance.link.idle).toBe(0);
    expect(running.linker.app).toBeNull();
  });

  test('a proxy that is not there yet is tried until it is', async () => {
    const app = await answeringApp();
    const port = await freePort();
    const running = new RunningLinker({ proxies: [{ host: '127.0.0.1', port }], app: app.address });
    await eventually('it has failed', () => running.said('a node can not be linked').length > 0);
    const node = await FakeNode.start({ port });
    await (await node.instance()).idle(4);
  });

  test('another proxy is linked when the first is lost', async () => {
    const app = await answeringApp();
    const nodes = [await FakeNode.start({ id: 'n1' }), await FakeNode.start({ id: 'n2' })];
    const running = new RunningLinker({ proxies: nodes.map(({ address }) => address), app: app.address });
    await running.linker.ready;
    const home = nodes.find(({ living }) => living.length > 0) as FakeNode;
    const other = nodes.find((node) => node !== home) as FakeNode;
    expect(other.living).toEqual([]);
    home.close();
    const instance = await other.instance();
    await instance.idle(4);
    expect(instance.lastReport).toMatchObject({ home: true, state: 'ready' });
  });

  test('a node that is leaving gives the slots back and loses the home', async () => {
    const app = await answeringApp();
    const nodes = [await FakeNode.start({ id: 'n1' }), await FakeNode.start({ id: 'n2' })];
    const running = new RunningLinker({ proxies: nodes.map(({ address }) => address), app: app.address });
    await running.linker.ready;
    const home = nodes.find(({ living }) => living.length > 0) as FakeNode;
    const other = nodes.find((node) => node !== home) as FakeNode;
    const leaving = await home.instance();
    await leaving.idle(4);
    const visit = leaving.open(GET);
    await visit.answered();
    leaving.link.goAway();
    const next = await other.instance();
    await next.idle(3);
    expect(next.lastReport).toMatchObject({ home: true, active: 1 });
    await eventually('the leaving one is told', () => leaving.lastReport?.home === false);
    // The stream that was open is served to its end, and its slot follows.
    visit.keep();
    await next.idle(4);
    expect(leaving.link.idle).toBe(0);
  });

  test('behind one address there may be several nodes: another one is home when the first leaves', async () => {
    const app = await answeringApp();
    const [first, second] = [await FakeNode.start({ id: 'n1' }), await FakeNode.start({ id: 'n2' })];
    let behind = first;
    const balancer = createServer((near) => {
      const far = connect(behind.address);
      near.pipe(far).pipe(near);
      near.on('error', () => far.destroy());
      far.on('error', () => near.destroy());
    });
    await once(balancer.listen(0, '127.0.0.1'), 'listening');
    const running = new RunningLinker({
      proxies: [{ host: '127.0.0.1', port: (balancer.address() as AddressInfo).port }],
      app: app.address,
    });
    await running.linker.ready;
    behind = second;
    (await first.instance()).link.goAway();
    const next = await second.instance();
    await next.idle(4);
    expect(next.lastReport).toMatchObject({ home: true });
    balancer.close();
  });

  test('a leaving node that is the only one is lent nothing unasked, and keeps its one link', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start();
    const running = new RunningLinker({ proxies: [node.address], app: app.address });
    await running.linker.ready;
    const instance = await node.instance();
    await instance.idle(4);
    instance.link.goAway();
    await instance.idle(0);
    const accepted = node.accepted;
    await eventually('it is asked again', () => node.accepted > accepted);
    await eventually('the first link is the one that stays', () => node.living.length === 1 && node.living[0] === instance);
    expect(instance.link.idle).toBe(0);
    // It comes back under the same address.
    const { port } = node.address;
    node.close();
    const restarted = await FakeNode.start({ id: 'n2', port });
    await (await restarted.instance()).idle(4);
  });

  test('a name stands for all its addresses', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start({ host: '::1' });
    // Nobody listens at the first two.
    const lookup = async () => [{ address: '127.0.0.2' }, { address: '127.0.0.3' }, { address: '::1' }];
    const running = new RunningLinker({ proxies: [{ host: 'nodes.test', port: node.address.port }], app: app.address, lookup });
    await (await node.instance()).idle(4);
    // On a busy machine the third may be late at first.
    for (const { address } of running.said('a node can not be linked'))
      expect(address).toMatch(/^nodes\.test:\d+ \((127\.0\.0\.[23]|\[::1\]):\d+\)$/);
  });

  test('linkers behind one name spread over its addresses', async () => {
    const app = await answeringApp();
    const first = await FakeNode.start({ id: 'n1', host: '127.0.0.2' });
    const second = await FakeNode.start({ id: 'n2', host: '127.0.0.3', port: first.address.port });
    const lookup = async () => [{ address: '127.0.0.2' }, { address: '127.0.0.3' }];
    for (let i = 0; i < 40; i++)
      new RunningLinker({ proxies: [{ host: 'nodes.test', port: first.address.port }], app: app.address, lookup });
    await eventually('all are linked', () => first.living.length + second.living.length === 40);
    expect(Math.min(first.living.length, second.living.length)).toBeGreaterThan(5);
  });

  test('a name that does not resolve is tried until it does', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start();
    let asked = 0;
    const lookup = async () => {
      if (++asked < 3) throw new Error('no such name');
      return [{ address: '127.0.0.1' }];
    };
    const running = new RunningLinker({ proxies: [{ host: 'nodes.test', port: node.address.port }], app: app.address, lookup });
    await (await node.instance()).idle(4);
    expect(running.said('a node can not be linked')).toMatchObject([
      { address: `nodes.test:${node.address.port}`, reason: 'no such name' },
    ]);
  });

  test('a proxy at an IPv6 address is linked', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start({ host: '::1' });
    new RunningLinker({ proxies: [{ host: '::1', port: node.address.port }], app: app.address });
    await (await node.instance()).idle(4);
  });
});

describe('a wrong secret', () => {
  test.each([
    ['of the linker', { secret: 'another' }],
    ['of the node', { secrets: ['another'] }],
  ])('%s is logged with the address, once, and gets no slots', async (_name, options: { secret?: string; secrets?: string[] }) => {
    const app = await answeringApp();
    const node = await FakeNode.start({ secrets: options.secrets });
    const running = new RunningLinker({
      proxies: [node.address],
      app: app.address,
      ...(options.secret === undefined ? {} : { secret: options.secret }),
    });
    await eventually('it was tried several times', () => node.refusals.length >= 3);
    expect(running.said('a node can not be linked')).toMatchObject([
      { level: 40, address: node.said, reason: expect.stringContaining('secret') },
    ]);
    expect(node.instances).toEqual([]);
  });
});

describe('moves', () => {
  test('a slot follows to the node that is named', async () => {
    const app = await answeringApp();
    const [first, second] = [await FakeNode.start({ id: 'n1' }), await FakeNode.start({ id: 'n2' })];
    new RunningLinker({ proxies: [first.address], app: app.address });
    const home = await first.instance();
    await home.idle(4);
    home.link.move(1, second.said);
    const other = await second.instance();
    await other.idle(1);
    expect(other.lastReport).toMatchObject({ home: false });
    expect((await other.get()).body).toBe('ok');
    home.link.move(2, second.said);
    await other.idle(3);
    expect(second.accepted).toBe(1);
    // And back, by the address that the home was dialled at.
    other.link.move(3, first.said);
    await home.idle(4);
    expect(first.accepted).toBe(1);
  });

  test('moves to one address share a dial', async () => {
    const app = await answeringApp();
    const [first, second] = [await FakeNode.start({ id: 'n1' }), await FakeNode.start({ id: 'n2' })];
    new RunningLinker({ proxies: [first.address], app: app.address });
    const home = await first.instance();
    await home.idle(4);
    for (let i = 0; i < 3; i++) home.link.move(1, second.said);
    await (await second.instance()).idle(3);
    expect(second.accepted).toBe(1);
  });

  test('a node that is linked already is found behind another address, and keeps its first link', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start();
    new RunningLinker({ proxies: [node.address], app: app.address });
    const home = await node.instance();
    await home.idle(4);
    home.link.move(2, `localhost:${node.address.port}`);
    await eventually('the slots are back', () => home.link.idle === 4 && node.living.length === 1);
    expect(node.living[0]).toBe(home);
    const accepted = node.accepted;
    home.link.move(1, `localhost:${node.address.port}`);
    await home.idle(4);
    expect(node.accepted).toBe(accepted);
  });

  test('an address that refuses is told first, and then the slot comes back', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start();
    new RunningLinker({ proxies: [node.address], app: app.address });
    const home = await node.instance();
    await home.idle(4);
    const nowhere = `127.0.0.1:${await freePort()}`;
    home.link.move(1, nowhere);
    await home.idle(4);
    expect(home.asked).toEqual([`moved back 1 from ${nowhere} with 3 idle`]);
  });

  test.each(['no address', 'name:notaport', '[::1', '300.1.1.1:80'])('an address that is none is refused: "%s"', async (nonsense) => {
    const app = await answeringApp();
    const node = await FakeNode.start();
    new RunningLinker({ proxies: [node.address], app: app.address });
    const home = await node.instance();
    await home.idle(4);
    home.link.move(1, nonsense);
    await home.idle(4);
    expect(home.asked).toEqual([`moved back 1 from ${nonsense} with 3 idle`]);
  });

  test('a node that does not know the secret gets no slot, whatever address another one names', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start({ id: 'n1' });
    const stranger = await FakeNode.start({ id: 'n2', secrets: ['another'] });
    new RunningLinker({ proxies: [node.address], app: app.address });
    const home = await node.instance();
    await home.idle(4);
    home.link.move(1, stranger.said);
    await home.idle(4);
    expect(stranger.instances).toEqual([]);
    expect(home.asked).toHaveLength(1);
  });

  test('slots of a lost link go to the home, and those of a lost home to another link', async () => {
    const app = await answeringApp();
    const [first, second] = [await FakeNode.start({ id: 'n1' }), await FakeNode.start({ id: 'n2' })];
    new RunningLinker({ proxies: [first.address], app: app.address });
    const home = await first.instance();
    await home.idle(4);
    home.link.move(2, second.said);
    const other = await second.instance();
    await other.idle(2);
    first.close();
    await other.idle(4);
    expect(other.lastReport).toMatchObject({ home: true });
  });

  test('a link that has no slot and is nobody’s home is closed after a while', async () => {
    const app = await answeringApp();
    const [first, second] = [await FakeNode.start({ id: 'n1' }), await FakeNode.start({ id: 'n2' })];
    new RunningLinker({ proxies: [first.address], app: app.address, idleLinkTimeoutMs: 100 });
    const home = await first.instance();
    await home.idle(4);
    home.link.move(1, second.said);
    const other = await second.instance();
    await other.idle(1);
    other.link.move(1, first.said);
    await home.idle(4);
    await other.down();
    expect(first.living).toHaveLength(1);
    home.link.move(1, second.said);
    await (await second.instance()).idle(1);
  });

  test('there are at most 64 links: one without a slot makes room, otherwise the move fails', async () => {
    const app = await answeringApp();
    const home = await FakeNode.start({ id: 'home' });
    new RunningLinker({ proxies: [home.address], app: app.address, concurrency: 70 });
    const instance = await home.instance();
    await instance.idle(70);
    const others: FakeNode[] = [];
    for (let i = 0; i < 63; i++) {
      const other = await FakeNode.start({ id: `n${i}` });
      others.push(other);
      instance.link.move(1, other.said);
      await (await other.instance()).idle(1);
    }
    const last = await FakeNode.start({ id: 'last' });
    instance.link.move(1, last.said);
    await eventually('the move fails', () => instance.asked.length === 1);
    expect(last.accepted).toBe(0);
    const oldest = await (others[0] as FakeNode).instance();
    oldest.link.move(1, home.said);
    await instance.idle(8);
    const late = await FakeNode.start({ id: 'late' });
    instance.link.move(1, late.said);
    await (await late.instance()).idle(1);
    await oldest.down();
  });
});

describe('reports', () => {
  test('how many streams are in use is said, but not for each of them', async () => {
    const app = await TcpApp.start((peer) => peer.socket.on('end', () => peer.socket.end()));
    const node = await FakeNode.start();
    new RunningLinker({ proxies: [node.address], app: app.address });
    const instance = await node.instance();
    await instance.idle(4);
    const reports = instance.reports.length;
    const visits = [instance.open(GET), instance.open(GET), instance.open(GET)];
    await eventually('three are reported', () => instance.lastReport?.active === 3);
    for (const visit of visits) visit.close();
    await eventually('none is reported', () => instance.lastReport?.active === 0);
    expect(instance.reports.length - reports).toBeLessThanOrEqual(3);
  });

  test('another instance is asked for at the home node', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start();
    const { linker } = new RunningLinker({ proxies: [node.address], app: app.address });
    await linker.ready;
    linker.startAnother();
    const instance = await node.instance();
    await eventually('it is asked', () => instance.asked.includes('start'));
  });
});
