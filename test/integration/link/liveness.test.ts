import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag, Frame } from '../../../src/link/frames.ts';
import { acceptLink } from '../../../src/link/handshake.ts';
import type { LinkTiming } from '../../../src/link/link.ts';
import { NodeLink } from '../../../src/link/node-link.ts';
import { WINDOW_BYTES } from '../../../src/link/stream.ts';
import { linkerAndRawNode, linkPair, NodeEnd, nodeAndRawLinker, Recorder, SECRET } from '../../support/harness/link-pair.ts';
import { destroySockets, EMPTY, until } from '../../support/harness/link-wire.ts';

const QUICK: LinkTiming = { pingAfterMs: 100, deadAfterMs: 300 };
const TICK_MS = 100;
/** Between processes, which do not get their time together on a busy machine. */
const APART: LinkTiming = { pingAfterMs: 200, deadAfterMs: 600 };
/** For a machine that is busy with other tests. */
const LATE_MS = 1_000;

let child: ChildProcess | null = null;
afterEach(() => {
  destroySockets();
  child?.kill('SIGKILL');
  child = null;
});

/** A linker in its own process, linked to a node here. */
async function linkToProcess(
  node: LinkTiming,
  linker: LinkTiming,
): Promise<{ node: NodeEnd; process: ChildProcess; output: () => string }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const script = fileURLToPath(new URL('../../support/harness/link-peer-process.ts', import.meta.url));
  const peer = spawn(process.execPath, [script, String(port), SECRET, String(linker.pingAfterMs), String(linker.deadAfterMs)]);
  child = peer;
  let output = '';
  for (const stream of [peer.stdout, peer.stderr]) stream.on('data', (text) => (output += text));
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  const end = await new Promise<NodeEnd>((resolve, reject) =>
    acceptLink(socket, {
      node: 'n1',
      secrets: () => [SECRET],
      timing: node,
      ready: (link, hello) => resolve(new NodeEnd((events) => new NodeLink(link, hello, events))),
      failed: (reason) => reject(new Error(`${reason} ${output}`)),
    }),
  );
  return { node: end, process: peer, output: () => output };
}

async function roundTrip(node: NodeEnd): Promise<void> {
  const reports = node.said.length;
  node.link.newest(true);
  await until(() => node.said.length > reports, 'the peer answered');
}

describe('a link', () => {
  test('notices within the dead time that the peer process is frozen', async () => {
    const { node, process: peer } = await linkToProcess(APART, { pingAfterMs: 60_000, deadAfterMs: 60_000 });
    await roundTrip(node);
    const frozenAt = performance.now();
    peer.kill('SIGSTOP');
    await until(() => node.downs.length > 0);
    const noticedMs = performance.now() - frozenAt;
    expect(node.downs[0]).toMatch(/^the peer is silent for \d+ ms$/);
    expect(noticedMs).toBeGreaterThan(APART.deadAfterMs - APART.pingAfterMs);
    expect(noticedMs).toBeLessThan(APART.deadAfterMs + APART.pingAfterMs + LATE_MS);
  });

  test.each([560, 1_100])('that was itself stopped for %d ms goes on, as its peer was there all the time', async (pauseMs) => {
    const { node, process: peer, output } = await linkToProcess({ pingAfterMs: 50, deadAfterMs: 60_000 }, APART);
    await roundTrip(node);
    // The pause itself is what is tested.
    peer.kill('SIGSTOP');
    await sleep(pauseMs);
    peer.kill('SIGCONT');
    await roundTrip(node);
    await sleep(2 * APART.pingAfterMs);
    expect(output()).toBe('');
    expect(node.downs).toEqual([]);
  });

  test.each([290, 700])('goes on when this process was busy for %d ms', async (busyMs) => {
    const { node, linker } = await linkPair({ timing: QUICK });
    await sleep(TICK_MS * 1.5);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busyMs);
    await sleep(TICK_MS * 2.5);
    linker.link.report({ home: true, state: 'ready', active: 0 });
    await until(() => node.said.length === 1);
    expect([...node.downs, ...linker.downs]).toEqual([]);
  });

  test('with nothing to carry stays up for many dead times', async () => {
    const timing = { pingAfterMs: 20, deadAfterMs: 60 };
    const { node, linker } = await linkPair({ timing });
    const { link } = node.link;
    const { bytesRead } = link.socket;
    // Each ping and each pong is eight bytes.
    await until(() => link.socket.bytesRead - bytesRead >= 8 * 20 || !link.isUp);
    expect([...node.downs, ...linker.downs]).toEqual([]);
  });

  test('closes on a peer that is connected but says nothing, from either side, after asking it', async () => {
    const [atNode, atLinker] = [await nodeAndRawLinker({ timing: QUICK }), await linkerAndRawNode({ timing: QUICK })];
    await Promise.all([atNode.peer.end(), atLinker.peer.end()]);
    expect(atNode.node.downs).toEqual([expect.stringContaining('the peer is silent for')]);
    expect(atLinker.linker.downs).toEqual([expect.stringContaining('the peer is silent for')]);
    for (const { peer } of [atNode, atLinker]) {
      const pings = peer.frames.filter((frame) => frame.type === Frame.PING).length;
      expect(pings).toBeGreaterThanOrEqual(1);
      expect(pings).toBeLessThanOrEqual(3);
    }
  });

  test('takes any sign of life, and gives one to a peer that talks and is told nothing', async () => {
    const { node, peer } = await nodeAndRawLinker({ timing: QUICK });
    const startedAt = performance.now();
    for (let turn = 0; turn < 25; turn++) {
      peer.send(Frame.PONG);
      await sleep(20);
    }
    expect(node.downs).toEqual([]);
    expect(peer.frames.length).toBeGreaterThanOrEqual(3);
    expect(peer.frames.length).toBeLessThanOrEqual((performance.now() - startedAt) / TICK_MS + 1);
    expect(peer.frames.every((frame) => frame.type === Frame.PING)).toBe(true);
  });

  test('stays up while what one side has sent takes many dead times on a slow network', async () => {
    const { node, linker } = await linkPair({ timing: QUICK, bytesPerMs: 3_000 });
    linker.link.grant(8);
    await until(() => node.link.idle === 8);
    const readers = Array.from({ length: 8 }, () => new Recorder());
    for (const reader of readers) node.link.open(reader, Flag.NONE, EMPTY);
    await until(() => linker.opened.length === 8);
    // The readers pass nothing on, so that the node has nothing to say; the linker's own ping waits behind all of it.
    const startedAt = performance.now();
    for (const { stream } of linker.opened) stream.write(Buffer.alloc(WINDOW_BYTES));
    await until(() => readers.every((reader) => reader.bytes === WINDOW_BYTES) || !linker.link.link.isUp);
    expect(performance.now() - startedAt).toBeGreaterThan(2 * QUICK.deadAfterMs);
    expect([...node.downs, ...linker.downs]).toEqual([]);
  });

  test('answers a ping, but not a flood of them from a peer that does not read', async () => {
    const { node, peer } = await nodeAndRawLinker();
    peer.send(Frame.PING);
    await peer.take(Frame.PONG);
    peer.socket.pause();
    const pings = Buffer.alloc(8 * 8_192);
    for (let at = 0; at < pings.length; at += 8) pings[at] = Frame.PING * 8;
    const { socket, writer } = node.link.link;
    for (let chunk = 0; chunk < 384; chunk++) peer.socket.write(pings);
    await until(() => node.downs.length > 0);
    expect(node.downs).toEqual([expect.stringContaining('too many control frames')]);
    expect(writer.backlogBytes).toBeLessThan(65_536);
    await until(() => socket.destroyed);
  });
});
