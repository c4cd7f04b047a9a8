/** Draining, and an application that is away: what becomes of slots and streams. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { ResetCode } from '../../../src/link/frames.ts';
import { freePort } from '../../../src/linker/free-port.ts';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, type FakeInstance, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { type AppPeer, closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';

const GET = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n';

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  closeTcpApps();
});

async function ready(
  begin: (peer: AppPeer) => void,
  drainTimeoutMs = 30_000,
): Promise<{ app: TcpApp; node: FakeNode; running: RunningLinker; instance: FakeInstance }> {
  const app = await TcpApp.start((peer) => {
    peer.socket.on('end', () => peer.socket.end());
    begin(peer);
  });
  const node = await FakeNode.start();
  const running = new RunningLinker({ proxies: [node.address], app: app.address, drainTimeoutMs });
  await running.linker.ready;
  const instance = await node.instance();
  await instance.idle(4);
  return { app, node, running, instance };
}

describe('drain', () => {
  test('nothing in use: over at once, with code 0, and the link is closed after the slots are back', async () => {
    const { running, instance } = await ready(() => {});
    running.linker.drain();
    expect(await running.exit).toBe(0);
    expect(instance.lastReport).toMatchObject({ home: true, state: 'draining' });
    expect(await instance.down()).toContain('closed');
  });

  test('a stream in use is served to its end', async () => {
    const { running, instance } = await ready(() => {});
    const visit = instance.open(GET);
    running.linker.drain();
    await instance.idle(0);
    expect(visit.reset).toBeNull();
    visit.stream.write(Buffer.from('more'));
    visit.keep();
    expect(await running.exit).toBe(0);
  });

  test('a stream that does not end is reset when the time is up', async () => {
    const { running, instance } = await ready(() => {}, 200);
    const visit = instance.open(GET);
    running.linker.drain();
    expect(await visit.wasReset()).toMatchObject({ code: ResetCode.APP_CLOSED, reached: true });
    expect(await running.exit).toBe(0);
  });

  test('a second call does not wait', async () => {
    const { running, instance } = await ready(() => {}, 60_000);
    const visit = instance.open(GET);
    running.linker.drain();
    await instance.idle(0);
    running.linker.drain();
    await visit.wasReset();
    expect(await running.exit).toBe(0);
  });

  test('slots that are asked to move meanwhile stay at home', async () => {
    const { running, instance } = await ready(() => {});
    const other = await FakeNode.start({ id: 'n2' });
    const visit = instance.open(GET);
    running.linker.drain();
    instance.link.move(3, other.said);
    await eventually('they are gone', () => instance.link.idle === 0);
    visit.keep();
    expect(await running.exit).toBe(0);
    expect(other.accepted).toBe(0);
  });

  test('without a node, and without an application, it is over at once', async () => {
    const nobody = { host: '127.0.0.1', port: await freePort() };
    const running = new RunningLinker({ proxies: [nobody], app: nobody });
    const failed = expect(running.linker.ready).rejects.toThrow('the linker has ended');
    running.linker.drain();
    expect(await running.exit).toBe(0);
    await failed;
  });

  test('a node that is lost meanwhile is not replaced', async () => {
    const { app, node, running, instance } = await ready(() => {});
    const visit = instance.open(GET);
    await app.peer(1);
    running.linker.drain();
    await instance.idle(0);
    const { port } = node.address;
    node.close();
    const next = await FakeNode.start({ id: 'n2', port });
    expect(await running.exit).toBe(0);
    expect(visit.reset).toMatchObject({ code: ResetCode.LINK_LOST });
    expect(next.accepted).toBe(0);
  });
});

describe('an application that runs by itself', () => {
  test('is waited for', async () => {
    const node = await FakeNode.start();
    const port = await freePort();
    new RunningLinker({ proxies: [node.address], app: { host: 'localhost', port } });
    const instance = await node.instance();
    expect(instance.link.idle).toBe(0);
    await TcpApp.start((peer) => peer.socket.on('end', () => peer.socket.end()), port);
    await instance.idle(4);
  });

  test('that refuses gets its slots taken back, and lent again when it accepts', async () => {
    const { app, running, instance } = await ready((peer) => peer.socket.on('data', () => peer.answer()));
    app.stopListening();
    const visit = instance.open(GET);
    expect(await visit.wasReset()).toEqual({ code: ResetCode.APP_REFUSED, reached: false, reused: false });
    await instance.idle(0);
    expect(instance.link.active).toBe(0);
    await eventually('it is reported', () => instance.lastReport?.state === 'starting');
    await app.listen();
    await instance.idle(4);
    expect(instance.lastReport?.state).toBe('ready');
    expect((await instance.get()).body).toBe('ok');
    expect(running.said('ready')).toHaveLength(1);
    expect(running.said('the application does not accept connections')).toHaveLength(1);
  });

  test('that refuses is not sent the next request before its slots are called back', async () => {
    let clients = 0;
    const app = await TcpApp.start((peer) => peer.socket.on('end', () => peer.socket.end()));
    const node = await FakeNode.start({ idle: (instance) => serveHeld(instance) });
    // As a node with clients held: every slot that becomes idle is used at once.
    const serveHeld = ({ link }: FakeInstance): void => {
      while (clients > 0 && link.idle > 0) {
        clients--;
        (node.living[0] as FakeInstance).open(GET);
      }
    };
    const running = new RunningLinker({ proxies: [node.address], app: app.address });
    await running.linker.ready;
    const instance = await node.instance();
    await instance.idle(4);
    app.stopListening();
    clients = 1_000;
    serveHeld(instance);
    await eventually('all slots are home', () => instance.link.idle + instance.link.active === 0);
    expect(clients).toBe(1_000 - 4);
  });

  test('never sees more than its connections, the looking included', async () => {
    const app = await TcpApp.start((peer) => peer.socket.on('data', () => peer.answer()));
    const node = await FakeNode.start();
    new RunningLinker({ proxies: [node.address], app: app.address, concurrency: 1 });
    const instance = await node.instance();
    await instance.idle(1);
    for (let i = 0; i < 20; i++) {
      const visit = instance.open(GET);
      await visit.answered();
      visit.close();
      app.peers.at(-1)?.socket.end();
      await instance.idle(1);
    }
    expect(app.engagedMax).toBe(1);
  });
});
