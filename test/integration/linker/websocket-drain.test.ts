/** A linker that is told to leave while a WebSocket is open: it is served until the drain's time is up, and then ended by its application. */
import { once } from 'node:events';
import { afterEach, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { WS_ECHO_APP } from '../../support/apps/apps.ts';
import { type ClusterNode, startLinker, startNode } from '../../support/cluster.ts';
import type { Running } from '../../support/processes.ts';

const DRAIN_MS = 1_000;

let node: ClusterNode;
let linker: Running;

afterEach(async () => {
  await linker?.stop();
  await node?.stop();
});

async function openSocket(): Promise<WebSocket> {
  node = await startNode(null);
  const args = ['--drain-timeout', `${DRAIN_MS}ms`];
  linker = await startLinker({ proxies: [node.backend], route: 'ws.test', concurrency: 1, app: WS_ECHO_APP, args });
  const socket = new WebSocket(node.url.replace('http', 'ws'), { headers: { host: 'ws.test' } });
  await once(socket, 'open');
  return socket;
}

test('its client is told by the application that it goes away (1001), not before its time and not by a broken connection', async () => {
  const socket = await openSocket();
  const closed = once(socket, 'close');
  const since = performance.now();
  linker.kill('SIGTERM');
  await linker.logged(({ msg }) => msg === 'linker draining');
  socket.send('still there?');
  expect(String((await once(socket, 'message'))[0])).toBe('still there?');
  expect((await closed)[0]).toBe(1001);
  expect(performance.now() - since).toBeGreaterThan(DRAIN_MS * 0.9);
  expect(await linker.exit).toEqual({ code: 0, signal: null });
});

test('told twice, it does not wait', async () => {
  const socket = await openSocket();
  const closed = once(socket, 'close');
  linker.kill('SIGTERM');
  await linker.logged(({ msg }) => msg === 'linker draining');
  linker.kill('SIGTERM');
  expect((await closed)[0]).toBe(1006);
  expect(await linker.exit).toEqual({ code: 0, signal: null });
});
