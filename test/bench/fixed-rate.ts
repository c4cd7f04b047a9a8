/**
 * Requests at a fixed rate, whatever the answers do: as many as are due leave each millisecond. One for which no connection is idle waits,
 * and its time runs: a stall is felt by all that came due meanwhile (no coordinated omission).
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { percentile } from './load.ts';
import type { Sample } from './rounds.ts';
import type { Target } from './surroundings.ts';

const CLIENTS = 50;
/** The origin's answer ends so. */
const LAST_BYTE = 0x0a;
/** Answers that are missing at the end are waited for so long. */
const LAST_RESPONSES_MS = 2_000;

export async function fixedRate(target: Target, perSecond: number, seconds: number): Promise<Sample> {
  const [host, port] = target.address.split(':');
  const request = Buffer.from(`GET / HTTP/1.1\r\nHost: ${target.address}\r\n\r\n`);
  const tookMs: number[] = [];
  const idle: Socket[] = [];
  const due: number[] = [];
  const askedAt = new Map<Socket, number>();
  const ask = (socket: Socket, at: number): void => {
    askedAt.set(socket, at);
    socket.write(request);
  };
  const sockets: Socket[] = [];
  for (let i = 0; i < CLIENTS; i++) {
    const socket = connect({ host, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      const at = askedAt.get(socket);
      if (at === undefined || chunk[chunk.length - 1] !== LAST_BYTE || chunk[chunk.length - 2] === 0x0d) return;
      tookMs.push(performance.now() - at);
      askedAt.delete(socket);
      const next = due.shift();
      if (next === undefined) idle.push(socket);
      else ask(socket, next);
    });
    idle.push(socket);
    sockets.push(socket);
  }
  const wanted = Math.floor(perSecond * seconds);
  const startedAt = performance.now();
  for (let sent = 0; sent < wanted; ) {
    const now = performance.now();
    for (const until = Math.min(wanted, ((now - startedAt) * perSecond) / 1_000); sent < until; sent++) {
      const socket = idle.pop();
      if (socket === undefined) due.push(now);
      else ask(socket, now);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const gaveUpAt = performance.now() + LAST_RESPONSES_MS;
  while (tookMs.length < wanted && performance.now() < gaveUpAt) await new Promise((resolve) => setTimeout(resolve, 5));
  for (const socket of sockets) socket.destroy();
  return { count: tookMs.length, perSecond, p50Ms: percentile(tookMs, 50), p99Ms: percentile(tookMs, 99), errors: wanted - tookMs.length };
}
