/** What a node keeps of clients is bounded, and whoever does not know the secret gets nothing. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { ask } from '../support/clients.ts';
import { type ClusterNode, linkerArgs, metric, startNode } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { startProcess } from '../support/processes.ts';
import { settled } from '../support/settled.ts';

const ROUTE = 'held.example.com';
const HEAD = `GET /some/page HTTP/1.1\r\nHost: ${ROUTE}\r\nUser-Agent: test/1.0\r\nAccept: */*\r\nCookie: session=0123456789abcdef\r\n\r\n`;
/** With what a held client costs in one of HAProxy's processes. */
const HELD_BYTES_MAX = 7_000;

const directory = mkdtempSync(join(tmpdir(), 'pullproxy-bounds-'));
let node: ClusterNode;
const sockets: Socket[] = [];

beforeAll(async () => {
  const config = join(directory, 'routes.yaml');
  writeFileSync(config, `routes:\n  ${ROUTE}:\n    holdTimeout: 5m\n`);
  node = await startNode(null, ['--config', config]);
});

afterAll(() => {
  for (const socket of sockets) socket.destroy();
  rmSync(directory, { recursive: true, force: true });
});

describe('memory', () => {
  test(`a held request costs less than ${HELD_BYTES_MAX} bytes`, async () => {
    // A node that has served a crowd is the honest base: its code is compiled and its pools are there.
    await hold(2_000);
    const before = await settled(residentKilobytes);
    await hold(6_000);
    const after = await settled(residentKilobytes);
    const each = ((after - before) * 1_024) / 6_000;
    process.stderr.write(`a held request costs ${Math.round(each)} bytes\n`);
    expect(each).toBeLessThan(HELD_BYTES_MAX);
  });

  test('a node bounds its young generation, unless it was given a bound', async () => {
    expect(commandLine(node)).toContain('--max-semi-space-size=8');
    expect(commandLine(node)).toContain('--no-parallel-scavenge');
    const other = await startNode(null, [], { NODE_OPTIONS: '--max-semi-space-size=32' });
    expect(commandLine(other)).not.toContain('semi-space');
    await other.stop();
  });

  test('a client that sends a body and reads no response stops at a bound', async () => {
    const before = await settled(residentKilobytes);
    const socket = connect(portOf(node), '127.0.0.1');
    sockets.push(socket);
    socket.write(`POST / HTTP/1.1\r\nHost: ${ROUTE}\r\nContent-Length: 1000000000\r\n\r\n`);
    const block = Buffer.alloc(1_048_576);
    let sent = 0;
    const send = (): void => {
      while (sent < 200 && socket.write(block)) sent++;
    };
    socket.on('drain', send);
    send();
    // What the kernels of both sides take is theirs.
    expect(await settled(() => socket.bytesWritten - socket.writableLength)).toBeLessThan(20 * 1_048_576);
    expect((await settled(residentKilobytes)) - before).toBeLessThan(10 * 1_024);
  });
});

test('a linker that does not know the secret gets no traffic', async () => {
  const app = linkerArgs({ proxies: [node.backend], route: 'stolen.example.com', concurrency: 1, app: COUNTING_APP });
  const stranger = startProcess(app, { env: { PULLPROXY_SECRET: 'a guess' } }).catch(() => 'never ready');
  await node.logged(({ msg }) => msg === 'linker refused');
  const answer = await ask(node.url, { host: 'stolen.example.com' });
  expect(answer.status).toBe(404);
  expect(await metric(node, 'pullproxy_slots')).toBe(0);
  // It never becomes ready.
  await expect(Promise.race([stranger, Promise.resolve('waiting')])).resolves.toBe('waiting');
});

async function hold(count: number): Promise<void> {
  const before = sockets.length;
  while (sockets.length < before + count) {
    const socket = connect(portOf(node), '127.0.0.1');
    sockets.push(socket);
    await once(socket, 'connect');
    socket.write(HEAD);
  }
  await eventually('all are held', async () => (await metric(node, 'pullproxy_held')) === sockets.length, 30_000);
}

function residentKilobytes(): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${node.pid}/status`, 'utf8'))?.[1]);
}

function commandLine({ pid }: ClusterNode): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
}

function portOf({ url }: ClusterNode): number {
  return Number(new URL(url).port);
}
