/** One way of doing harm. Each strike is short, and fails in silence. */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { mutate } from '../../../fuzz/mutate.ts';
import type { Target } from '../../../fuzz/target.ts';
import type { Random } from '../../chaos/random.ts';
import type { Ports } from '../place.ts';

export interface Besieger {
  readonly name: string;
  /** Strikes in a second, at most. */
  readonly perSecond: number;
  readonly atOnceMax: number;
  strike(): Promise<void>;
}

export interface Field {
  readonly ports: Ports;
  readonly random: Random;
}

/** Where clients that do harm come from: another address than the honest ones. */
const SOURCE = '127.0.0.66';

/** A connection that is closed in `withinMs`, whatever happens to it. */
export function open(port: number, withinMs: number, source = SOURCE): Socket {
  const socket = connect({ port, host: '127.0.0.1', localAddress: source, noDelay: true, allowHalfOpen: true });
  socket.on('error', () => {});
  socket.on('end', () => socket.end());
  socket.resume();
  const late = setTimeout(() => socket.destroy(), withinMs);
  socket.once('close', () => clearTimeout(late));
  return socket;
}

/** Sends, waits for the other side to end it or for `withinMs`, and is gone. */
export async function say(port: number, bytes: Buffer | string, withinMs: number, source = SOURCE): Promise<void> {
  const socket = open(port, withinMs, source);
  socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  await new Promise((resolve) => socket.once('close', resolve));
}

export function pause(ms: number): Promise<void> {
  return delay(ms);
}

/** An input of a fuzz target, changed. */
export function inputOf(target: Pick<Target, 'seeds' | 'words' | 'lines'>, random: Random): Buffer {
  const any = (): Buffer => random.pick(target.seeds);
  return mutate(any(), any(), target.words, () => random.next(), target.lines);
}
