/** The limit of an instance moves: what the application gets never goes beyond its last word. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { ResetCode } from '../../../src/link/frames.ts';
import type { LinkerOptions } from '../../../src/linker/linker-options.ts';
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

async function linked(options: Partial<LinkerOptions> = {}, begin: (peer: AppPeer) => void = () => {}) {
  const app = await TcpApp.start(begin);
  const node = await FakeNode.start();
  const running = new RunningLinker({ proxies: [node.address], app: app.address, concurrency: 4, ...options });
  const instance = await node.instance();
  return { app, node, running, instance, limit: running.linker.limit };
}

function answers(peer: AppPeer, head: string): void {
  peer.socket.on('data', () => peer.socket.write(`HTTP/1.1 200 OK\r\n${head}Content-Length: 2\r\n\r\nok`));
}

describe('a lower limit', () => {
  test('calls idle slots back, and does not lend them again', async () => {
    const { instance, limit, running } = await linked();
    await instance.idle(4);
    limit.set(1, 'control');
    await instance.idle(1);
    instance.link.giveBack(1);
    await instance.idle(1);
    expect(running.lines.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });

  test('finds idle slots at every node', async () => {
    const { node, instance, limit } = await linked();
    const other = await FakeNode.start({ id: 'n2' });
    await instance.idle(4);
    instance.link.move(3, other.said);
    const second = await other.instance();
    await second.idle(3);
    limit.set(2, 'control');
    await eventually('two are left', () => instance.link.idle + second.link.idle === 2);
    limit.set(0, 'control');
    await eventually('none is left', () => instance.link.idle + second.link.idle === 0);
    expect(node.living).toHaveLength(1);
  });

  test('gives the application nothing beyond it that was on its way, and tells the node', async () => {
    const { app, instance, limit } = await linked();
    await instance.idle(4);
    const first = instance.open(GET);
    await app.peer(1);
    limit.set(1, 'control');
    // The node does not know yet.
    const second = instance.open(GET);
    await eventually('the node hears of it', () => second.waits === 1);
    expect(app.peers).toHaveLength(1);
    expect(first.waits).toBe(0);
    // It is served where it waits if the node leaves it there.
    (await app.peer(1)).answer();
    await first.answered();
    first.keep();
    const peer = await app.peer(1);
    await eventually('the second is served', () => peer.text.split(GET).length === 3);
    expect(app.engagedMax).toBe(1);
  });

  test('lets a node take back what waits', async () => {
    const { app, instance, limit } = await linked({ concurrency: 1 });
    await instance.idle(1);
    limit.set(0, 'control');
    const visit = instance.open(GET);
    await eventually('the node hears of it', () => visit.waits === 1);
    visit.cancel(ResetCode.CANCEL);
    await eventually('its slot is home', () => instance.link.active + instance.link.idle === 0);
    expect(app.peers).toHaveLength(0);
    limit.set(1, 'control');
    await instance.idle(1);
  });

  test('takes slots in use when their streams end', async () => {
    const { app, instance, limit } = await linked();
    await instance.idle(4);
    const visits = [instance.open(GET), instance.open(GET), instance.open(GET)];
    await app.peer(3);
    limit.set(1, 'control');
    await instance.idle(0);
    for (const [at, visit] of visits.entries()) {
      (await app.peer(at + 1)).answer();
      await visit.answered();
      visit.keep();
    }
    await instance.idle(1);
    expect(instance.link.active).toBe(0);
  });

  test('closes kept connections beyond it', async () => {
    const { app, instance, limit } = await linked({}, (peer) => answers(peer, ''));
    await instance.idle(4);
    const visits = [instance.open(GET), instance.open(GET), instance.open(GET)];
    for (const visit of visits) await visit.answered();
    for (const visit of visits) visit.keep();
    await instance.idle(4);
    limit.set(1, 'control');
    await eventually('one is left', () => app.peers.filter(({ ended }) => !ended).length === 1);
  });

  test('does not make the linker move slots that it may not lend', async () => {
    const { instance, limit } = await linked();
    const other = await FakeNode.start({ id: 'n2' });
    await instance.idle(4);
    limit.set(1, 'control');
    instance.link.move(4, other.said);
    const second = await other.instance();
    await second.idle(1);
    limit.set(3, 'control');
    await eventually('the others are lent', () => instance.link.idle + second.link.idle === 3);
  });

  test('survives a link that is lost meanwhile', async () => {
    const { app, node, instance, limit } = await linked();
    await instance.idle(4);
    instance.open(GET);
    await app.peer(1);
    limit.set(2, 'control');
    const { port } = node.address;
    node.close();
    const again = await (await FakeNode.start({ id: 'n1', port })).instance();
    await again.idle(1);
    (await app.peer(1)).socket.destroy();
    await again.idle(2);
  });
});

describe('a parked stream', () => {
  test('that begins its next exchange beyond the limit waits with what came for it', async () => {
    const { app, instance, limit } = await linked({ concurrency: 2 });
    await instance.idle(2);
    const session = instance.open('one');
    const peer = await app.peer(1);
    await peer.received('one');
    peer.socket.write('1');
    await session.received('1');
    instance.link.park(session.stream);
    const other = instance.open(GET);
    await app.peer(2);
    limit.set(1, 'control');
    instance.link.unpark(session.stream);
    session.stream.write(Buffer.from('two'));
    await eventually('the node hears of it', () => session.waits === 1 || session.reset !== null);
    expect(peer.text).toBe('one');
    (await app.peer(2)).answer();
    await other.answered();
    other.keep();
    if (session.reset === null) await peer.received('two');
  });

  test('is closed when the limit leaves no room for its connection', async () => {
    const { app, instance, limit } = await linked({ concurrency: 2 });
    await instance.idle(2);
    const session = instance.open('one');
    const peer = await app.peer(1);
    await peer.received('one');
    peer.socket.write('1');
    await session.received('1');
    instance.link.park(session.stream);
    limit.set(0, 'control');
    await peer.end();
    peer.socket.end();
    expect((await session.wasReset()).reached).toBe(true);
  });
});

describe('a limit of 0', () => {
  test('means paused, and not gone', async () => {
    const { instance, limit, running } = await linked();
    await instance.idle(4);
    limit.set(0, 'header');
    await instance.idle(0);
    await eventually('the node knows', () => instance.lastReport?.state === 'paused');
    expect(instance.lastReport).toMatchObject({ concurrency: 0, setBy: 'header', changes: { header: 1 } });
    limit.set(2, 'header');
    await instance.idle(2);
    await eventually('the node knows', () => instance.lastReport?.state === 'ready');
    expect(running.code).toBeNull();
  });

  test('can be the first', async () => {
    const { instance, limit } = await linked({ concurrency: 0 });
    await eventually('the node knows', () => instance.lastReport?.state === 'paused');
    expect(instance.hello.concurrency).toBe(1);
    limit.set(3, 'control');
    await instance.idle(3);
  });

  test('begins the idle time anew', async () => {
    const { instance, limit } = await linked({ idleTimeoutMs: 400 });
    await instance.idle(4);
    await new Promise((resolve) => setTimeout(resolve, 250));
    limit.set(0, 'control');
    const since = performance.now();
    await eventually('it asks to leave', () => instance.asked.includes('retire'));
    expect(performance.now() - since).toBeGreaterThan(350);
  });
});

describe('a higher limit', () => {
  test('is lent within a few ms', async () => {
    const { instance, limit } = await linked();
    await instance.idle(4);
    const since = performance.now();
    limit.set(9, 'control');
    await instance.idle(9);
    expect(performance.now() - since).toBeLessThan(100);
  });

  test('is cut to the most that is allowed, with a word in the log', async () => {
    const { instance, limit, running } = await linked({ concurrencyMax: 6 });
    await instance.idle(4);
    limit.set(7_000_000, 'header');
    await instance.idle(6);
    expect(limit.value).toBe(6);
    expect(running.lines.filter(({ said, concurrency }) => said === 7_000_000 && concurrency === 6)).toHaveLength(1);
  });

  test('serves who waits at once', async () => {
    const { app, instance, limit } = await linked({ concurrency: 3 });
    await instance.idle(3);
    limit.set(0, 'control');
    const visits = [instance.open(GET), instance.open(GET)];
    await eventually('they wait', () => visits.every(({ waits }) => waits === 1));
    limit.set(3, 'control');
    for (const [at, visit] of visits.entries()) {
      (await app.peer(at + 1)).answer();
      await visit.answered();
    }
  });
});

test('a flood of changes costs a bounded number of frames, and ends at the last of them', async () => {
  const { instance, limit, running } = await linked({ concurrency: 100 });
  await instance.idle(100);
  let grants = 0;
  let recalls = 0;
  const { receive } = instance.link;
  instance.link.receive = function counted(type, ...rest) {
    if (type === 5) grants++;
    if (type === 6) recalls++;
    return receive.call(this, type, ...rest);
  };
  const until = performance.now() + 500;
  let changes = 0;
  while (performance.now() < until) {
    for (let i = 0; i < 200; i++) limit.set(changes++ % 101, 'control');
    await new Promise((resolve) => setImmediate(resolve));
  }
  limit.set(7, 'control');
  await instance.idle(7);
  expect(changes).toBeGreaterThan(10_000);
  expect(grants + recalls).toBeLessThan(500);
  expect(instance.reports.length).toBeLessThan(20);
  expect(instance.downReason).toBeNull();
  expect(running.code).toBeNull();
});

describe('a word in a response', () => {
  test.each([
    ['Pullproxy-Concurrency: 2\r\n', 2],
    ['pullproxy-concurrency:2\r\n', 2],
    ['PULLPROXY-CONCURRENCY: \t2 \r\n', 2],
    ['Pullproxy-Concurrency: 0\r\n', 0],
    ['Pullproxy-Concurrency: 99999999999\r\n', 1_000],
  ])('%j sets the limit to %d', async (head, expected) => {
    const { instance, limit } = await linked({}, (peer) => answers(peer, head));
    await instance.idle(4);
    await instance.get();
    expect(limit.value).toBe(expected);
    expect(limit.setBy).toBe('header');
    await eventually('slots follow', () => instance.link.idle === Math.min(expected, 1_000));
  });

  test.each(['-1', '1.5', '8, 9', 'many', '', '0x10', '1e3', '9999999999999999999'])(
    '%j is ignored, logged once and counted',
    async (value) => {
      const { instance, limit, running } = await linked({}, (peer) => answers(peer, `Pullproxy-Concurrency: ${value}\r\n`));
      await instance.idle(4);
      await instance.get();
      await instance.get();
      expect(limit.value).toBe(4);
      expect(limit.report.unusable).toBe(2);
      expect(running.lines.filter(({ level }) => level === 40)).toHaveLength(1);
    },
  );

  test('counts from its arrival, before the node has seen the response', async () => {
    const { app, instance, limit } = await linked();
    await instance.idle(4);
    instance.open(GET);
    const peer = await app.peer(1);
    instance.link.link.socket.pause();
    peer.socket.write('HTTP/1.1 200 OK\r\nPullproxy-Concurrency: 1\r\n\r\n');
    await eventually('it is in force', () => limit.value === 1);
  });

  test('that a node tells later than a newer word does not undo that one', async () => {
    const { app, instance, limit } = await linked();
    await instance.idle(4);
    const visit = instance.open(GET);
    (await app.peer(1)).socket.write('some bytes');
    await visit.received('some bytes');
    instance.link.said(visit.stream, '3');
    await eventually('it is in force', () => limit.value === 3);
    limit.set(2, 'control');
    instance.link.said(visit.stream, '4');
    await instance.idle(1);
    expect([limit.value, limit.setBy]).toEqual([2, 'control']);
  });
});
