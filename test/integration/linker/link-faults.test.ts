/** Nodes that are out of reach, frozen, silent, or not who they should be. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { freePort } from '../../../src/linker/free-port.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';

const GET = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n';
const certificate = makeCertificate('node.test');
const other = makeCertificate('node.test');
const cleanups = new Set<() => void>();

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  closeTcpApps();
  for (const clean of cleanups) clean();
  cleanups.clear();
});

afterAll(() => {
  certificate.remove();
  other.remove();
});

/** Accepts and says nothing. */
async function muteServer(): Promise<{ said: string; accepted: () => number }> {
  let accepted = 0;
  const server = createServer((socket) => {
    accepted++;
    cleanups.add(() => socket.destroy());
  });
  cleanups.add(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { said: `127.0.0.1:${(server.address() as AddressInfo).port}`, accepted: () => accepted };
}

async function answeringApp(): Promise<TcpApp> {
  return TcpApp.start((peer) => {
    peer.socket.on('data', () => peer.answer());
    peer.socket.on('end', () => peer.socket.end());
  });
}

describe('a node that is dialled for a move', () => {
  test('and accepts but says nothing is given up after 2 s, and not tried again at once', async () => {
    const { said, accepted } = await muteServer();
    const app = await answeringApp();
    const node = await FakeNode.start();
    new RunningLinker({ proxies: [node.address], app: app.address });
    const home = await node.instance();
    await home.idle(4);
    const since = performance.now();
    home.link.move(1, said);
    home.link.move(2, said);
    await home.idle(4);
    expect(performance.now() - since).toBeGreaterThan(1_900);
    expect(home.asked).toEqual([`moved back 1 from ${said} with 1 idle`, `moved back 2 from ${said} with 2 idle`]);
    const again = performance.now();
    home.link.move(1, said);
    await eventually('it is told', () => home.asked.length === 3);
    expect(performance.now() - again).toBeLessThan(500);
    expect(accepted()).toBe(1);
  });

  test('and was killed is tried again soon: it may be back', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start({ id: 'n1' });
    new RunningLinker({ proxies: [node.address], app: app.address });
    const home = await node.instance();
    await home.idle(4);
    const port = await freePort();
    home.link.move(1, `127.0.0.1:${port}`);
    await eventually('it is told', () => home.asked.length === 1);
    const back = await FakeNode.start({ id: 'n2', port });
    await eventually(
      'the slot is there',
      async () => {
        if (home.link.idle > 0) home.link.move(1, `127.0.0.1:${port}`);
        return back.living.length > 0;
      },
      700,
    );
  });

  test('keeps nothing from the others meanwhile', async () => {
    const mute = await muteServer();
    const app = await answeringApp();
    const [first, second] = [await FakeNode.start({ id: 'n1' }), await FakeNode.start({ id: 'n2' })];
    new RunningLinker({ proxies: [first.address], app: app.address });
    const home = await first.instance();
    await home.idle(4);
    home.link.move(1, mute.said);
    home.link.move(1, second.said);
    const since = performance.now();
    await (await second.instance()).idle(1);
    expect((await home.get()).body).toBe('ok');
    expect(performance.now() - since).toBeLessThan(1_000);
  });
});

test('a frozen node is left within seconds, and its slots go elsewhere', async () => {
  const app = await answeringApp();
  // The nodes' own pings would be signs of life.
  const timing = { pingAfterMs: 60_000, deadAfterMs: 180_000 };
  const nodes = [await FakeNode.start({ id: 'n1', timing }), await FakeNode.start({ id: 'n2', timing })];
  const linkTiming = { pingAfterMs: 50, deadAfterMs: 200 };
  const running = new RunningLinker({ proxies: nodes.map(({ address }) => address), app: app.address, linkTiming });
  await running.linker.ready;
  const frozen = nodes.find(({ living }) => living.length > 0) as FakeNode;
  const instance = await frozen.instance();
  await instance.idle(4);
  const visit = instance.open(GET);
  await visit.answered();
  frozen.freeze();
  const next = await (nodes.find((node) => node !== frozen) as FakeNode).instance();
  await next.idle(4);
  expect((await next.get()).body).toBe('ok');
  expect(running.said('a link is lost')).toMatchObject([{ reason: expect.stringContaining('silent') }]);
});

describe('with TLS', () => {
  const tls = { cert: certificate.cert, key: certificate.key };

  test('a node is dialled by its name, which its certificate must carry', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start({ tls });
    const lookup = async () => [{ address: '127.0.0.1' }];
    const port = node.address.port;
    new RunningLinker({ proxies: [{ host: 'node.test', port }], app: app.address, tls: { ca: certificate.cert }, lookup });
    const instance = await node.instance();
    await instance.idle(4);
    expect((await instance.get()).body).toBe('ok');
    const wrong = new RunningLinker({ proxies: [{ host: 'another.test', port }], app: app.address, tls: { ca: certificate.cert }, lookup });
    await eventually('it is refused', () => wrong.said('a node can not be linked').length === 1);
    expect(wrong.said('a node can not be linked')[0]?.reason).toContain('another.test');
    expect(node.instances).toHaveLength(1);
  });

  test('a node that is named by its address is known by the authority alone', async () => {
    const app = await answeringApp();
    const [first, second] = [await FakeNode.start({ id: 'n1', tls }), await FakeNode.start({ id: 'n2', tls, host: '127.0.0.2' })];
    new RunningLinker({ proxies: [first.address], app: app.address, tls: { ca: certificate.cert } });
    const home = await first.instance();
    await home.idle(4);
    home.link.move(1, second.said);
    await (await second.instance()).idle(1);
  });

  test('a node of another authority is not linked', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start({ tls });
    const running = new RunningLinker({ proxies: [node.address], app: app.address, tls: { ca: other.cert } });
    await eventually('it is refused', () => running.said('a node can not be linked').length === 1);
    expect(node.instances).toEqual([]);
  });

  test('a node that speaks no TLS is not linked', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start();
    const running = new RunningLinker({ proxies: [node.address], app: app.address, tls: { ca: certificate.cert } });
    await eventually('it is refused', () => running.said('a node can not be linked').length === 1);
    expect(node.instances).toEqual([]);
  });

  test('a linker shows its certificate to a node that asks for one', async () => {
    const app = await answeringApp();
    const node = await FakeNode.start({ tls: { ...tls, ca: [other.cert], requestCert: true, rejectUnauthorized: true } });
    new RunningLinker({ proxies: [node.address], app: app.address, tls: { ca: certificate.cert, cert: other.cert, key: other.key } });
    await (await node.instance()).idle(4);
  });
});
