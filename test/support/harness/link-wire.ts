/** Loopback sockets, and peers that speak frames by hand: what the tests of src/link connect the real thing to. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { FrameReader } from '../../../src/link/frames.ts';

export const EMPTY = Buffer.alloc(0);
const WAIT_MS_MAX = 5_000;

const sockets = new Set<Socket>();

export interface SocketPair {
  readonly dialled: Socket;
  readonly accepted: Socket;
}

/** Two ends of one TCP connection over loopback. */
export async function socketPair(): Promise<SocketPair> {
  const server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const dialled = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true });
  const [[accepted]] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, once(dialled, 'connect')]);
  server.close();
  sockets.add(dialled).add(accepted);
  return { dialled, accepted };
}

/** The same over a network that carries no more than `bytesPerMs` from the dialled end to the accepted one. */
export async function slowSocketPair(bytesPerMs: number): Promise<SocketPair> {
  const [near, far] = [await socketPair(), await socketPair()];
  near.accepted.on('data', (chunk: Buffer) => {
    near.accepted.pause();
    setTimeout(() => {
      far.dialled.write(chunk);
      near.accepted.resume();
    }, chunk.length / bytesPerMs);
  });
  far.dialled.pipe(near.accepted);
  for (const socket of [near.accepted, far.dialled]) socket.on('error', () => {});
  near.accepted.on('close', () => far.dialled.destroy());
  far.dialled.on('close', () => near.accepted.destroy());
  return { dialled: near.dialled, accepted: far.accepted };
}

/** For `afterEach`. */
export function destroySockets(): void {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
}

/** Resolves when `condition` holds, for what has no event. @throws Error when it does not within 5 s. */
export async function until(condition: () => boolean, what = condition.toString()): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  for (let turns = 0; !condition(); turns++) {
    if (performance.now() > deadline) throw new Error(`still not: ${what}`);
    // Most of what is waited for over loopback takes a few turns of the event loop.
    await (turns < 50 ? new Promise(setImmediate) : sleep(1));
  }
}

/** The wire format, written a second time so that the tests do not believe the writer. */
export function frameBytes(type: number, payload: Buffer = EMPTY, streamId = 0, flags = 0): Buffer {
  return Buffer.concat([headBytes(type, payload.length, streamId, flags), payload]);
}

/** A head alone, for frames whose payload does not come. */
export function headBytes(type: number, length: number, streamId = 0, flags = 0): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt8(type * 8 + flags, 0);
  head.writeUIntBE(length, 1, 3);
  head.writeUInt32BE(streamId, 4);
  return head;
}

export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** A frame in short, for comparing many of them. */
export function brief({ type, flags, streamId, payload }: SeenFrame): string {
  return `type ${type} flags ${flags} stream ${streamId} bytes ${payload.length} sum ${createHash('sha1').update(payload).digest('hex')}`;
}

/** A peer that does what a test tells it, right or wrong. */
export class RawPeer {
  readonly socket: Socket;
  /** Frames that have come and were not taken by `take` yet. */
  readonly frames: SeenFrame[] = [];
  ended = false;

  constructor(socket: Socket) {
    this.socket = socket;
    const reader = new FrameReader((type, flags, streamId, payload) =>
      this.frames.push({ type, flags, streamId, payload }) > 0 ? 'kept' : 'borrowed',
    );
    socket.on('data', (chunk: Buffer) => reader.push(chunk));
    socket.on('error', () => {});
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('close', () => {
      this.ended = true;
    });
  }

  send(type: number, payload: Buffer = EMPTY, streamId = 0, flags = 0): void {
    this.socket.write(frameBytes(type, payload, streamId, flags));
  }

  sendJson(type: number, value: unknown): Buffer {
    const payload = Buffer.from(JSON.stringify(value));
    this.send(type, payload);
    return payload;
  }

  /** The first frame of this type that came, waited for; frames before it stay. */
  async take(type: number): Promise<SeenFrame> {
    await until(() => this.frames.some((frame) => frame.type === type) || this.ended, `frame type ${type} came`);
    const at = this.frames.findIndex((frame) => frame.type === type);
    const [frame] = at < 0 ? [] : this.frames.splice(at, 1);
    if (frame === undefined) throw new Error(`the link ended without frame type ${type}`);
    return frame;
  }

  async takeJson(type: number): Promise<Record<string, unknown>> {
    return JSON.parse((await this.take(type)).payload.toString()) as Record<string, unknown>;
  }

  async end(): Promise<void> {
    await until(() => this.ended, 'the link ended');
  }
}

/** A number as frames say it. */
export function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value, 0);
  return buffer;
}
