import { afterEach, describe, expect, test } from '@jest/globals';
import { AckStalls } from '../../../src/linker/ack-stalls.ts';
import { closeFakeNodes, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';
import { closeTcpApps, TcpApp } from '../../support/harness/tcp-app.ts';

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  closeTcpApps();
});

describe('answers that stall', () => {
  test.each<[string, number[], boolean]>([
    ['are found when there are four in a row', [40, 41, 44, 90], true],
    ['are not found in three', [40, 41, 44], false],
    ['are not found when one came at once', [40, 41, 0, 44, 40, 40], false],
    ['are not those that took longer than a delayed acknowledgement', [500, 500, 500, 500], false],
    ['are not those that came in quick pieces', [5, 5, 5, 5], false],
    ['stay found', [40, 40, 40, 40, 0], true],
  ])('%s', (_name, gaps, found) => {
    const stalls = new AckStalls();
    for (const gap of gaps) stalls.saw(gap);
    expect(stalls.found).toBe(found);
  });
});

test('an application whose answers stall on kept connections gets new ones', async () => {
  // What takes longer than a delayed acknowledgement is not taken for one: on a busy machine that may need a few attempts more.
  const app = await TcpApp.start((peer) => {
    peer.socket.on('data', () => {
      peer.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n');
      setTimeout(() => peer.socket.write('ok'), 45);
    });
    peer.socket.on('end', () => peer.socket.end());
  });
  const node = await FakeNode.start();
  const running = new RunningLinker({ proxies: [node.address], app: app.address, concurrency: 1 });
  const instance = await node.instance();
  await instance.idle(1);
  // The first is on a new connection anyway.
  for (let i = 0; i < 5; i++) await instance.get();
  expect(app.peers).toHaveLength(1);
  for (let i = 0; i < 100 && app.peers.length === 1; i++) await instance.get();
  const until = app.peers.length;
  for (let i = 0; i < 3; i++) await instance.get();
  expect(app.peers).toHaveLength(until + 3);
  expect(app.engagedMax).toBe(1);
  expect(running.lines.filter(({ msg }) => String(msg).includes('TCP_NODELAY'))).toHaveLength(1);
});
