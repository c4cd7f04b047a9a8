/** A slot is free only when the application has really done with its connection. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { ResetCode } from '../../../src/link/frames.ts';
import { eventually } from '../../support/eventually.ts';
import { closeFakeNodes, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { type AppPeer, closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';

const GET = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n';

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  closeTcpApps();
});

async function serving(begin: (peer: AppPeer) => void = () => {}, times: { abortTimeoutMs?: number; discardTimeoutMs?: number } = {}) {
  const app = await TcpApp.start(begin);
  const node = await FakeNode.start();
  const running = new RunningLinker({ proxies: [node.address], app: app.address, concurrency: 1, ...times });
  await running.linker.ready;
  const instance = await node.instance();
  await instance.idle(1);
  const visit = instance.open(GET);
  const peer = await app.peer(1);
  return { app, node, running, instance, visit, peer };
}

describe.each([
  ['DONE without KEEP', 'done'],
  ['RESET', 'reset'],
] as const)('after %s', (_name, how) => {
  test('the slot is free when the application has closed', async () => {
    const { instance, visit, peer } = await serving();
    if (how === 'done') visit.close();
    else visit.cancel(ResetCode.CANCEL);
    await peer.end();
    expect(instance.link.idle).toBe(0);
    expect(instance.link.active).toBe(1);
    peer.socket.end();
    await instance.idle(1);
  });

  test('an application that computes on in silence is waited for', async () => {
    const { instance, visit, peer } = await serving(() => {}, { abortTimeoutMs: 400, discardTimeoutMs: 50 });
    if (how === 'done') visit.close();
    else visit.cancel(ResetCode.CANCEL);
    await peer.end();
    const since = performance.now();
    await instance.idle(1);
    expect(performance.now() - since).toBeGreaterThan(300);
  });

  test('an application that writes on is cut off', async () => {
    const { app, instance, visit, peer } = await serving(() => {}, { abortTimeoutMs: 60_000, discardTimeoutMs: 100 });
    if (how === 'done') visit.close();
    else visit.cancel(ResetCode.CANCEL);
    await peer.end();
    const writing = setInterval(() => peer.socket.write('more'), 10);
    await eventually('it is cut off', () => app.open === 0);
    clearInterval(writing);
    await instance.idle(1);
  });
});

test('what an application says after the end is not passed on', async () => {
  const { instance, visit, peer } = await serving();
  visit.cancel(ResetCode.CANCEL);
  await peer.end();
  peer.socket.end('too late');
  await instance.idle(1);
  expect(visit.text).toBe('');
});

test('the next stream of a slot never meets the one before it in the application', async () => {
  const { app, instance, visit } = await serving((peer) => {
    // As an application of one thread: it notices the end when its work is done.
    peer.socket.on('end', () => setTimeout(() => peer.socket.end(), 20));
  });
  let last = visit;
  for (let i = 0; i < 5; i++) {
    last.cancel(ResetCode.CANCEL);
    await instance.idle(1);
    last = instance.open(GET);
    await app.peer(i + 2);
  }
  expect(app.engagedMax).toBe(1);
});

test('a lost link brings its slots home when their connections are closed, and not before', async () => {
  const { app, node, running, visit, peer } = await serving();
  const { port } = node.address;
  node.close();
  const other = await FakeNode.start({ id: 'n1', port });
  const again = await other.instance();
  await peer.end();
  expect(visit.reset).toMatchObject({ code: ResetCode.LINK_LOST });
  expect(again.link.idle).toBe(0);
  expect(app.open).toBe(1);
  peer.socket.end();
  await again.idle(1);
  expect(running.code).toBeNull();
});
