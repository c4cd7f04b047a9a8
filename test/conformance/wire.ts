/** A connection that carries frames, for either side of the kit. It keeps all that it heard. */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Frame, FrameReader, PAYLOAD_BYTES_MAX } from '../../src/link/frames.ts';
import { EMPTY, frameBytes, type SeenFrame, u32 } from '../support/harness/link-wire.ts';
import { Broken, type RuleId } from './rules.ts';

/** Waits of the kit. A busy machine is no breach. */
export const WAIT_MS = 8_000;
const PING_EVERY_MS = 800;

/** One stream as the kit sees it. */
export class SeenStream {
  readonly id: number;
  readonly chunks: Buffer[] = [];
  bytes = 0;
  ended = false;
  reset: { readonly code: number; readonly flags: number } | null = null;
  /** By WINDOW frames. */
  credited = 0;
  /** Bytes that the kit has sent. */
  sent = 0;
  /** Credit that the kit has given back. */
  given = 0;
  /** The kit gives credit for what comes. */
  isRead = true;

  constructor(id: number) {
    this.id = id;
  }

  get content(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

export class Wire {
  readonly socket: Socket;
  readonly frames: SeenFrame[] = [];
  readonly streams = new Map<number, SeenStream>();
  /** Streams that the peer has reset: nothing comes after. */
  readonly #wasReset = new Set<number>();
  closed = false;
  /** Answers PINGs, and says something each second by itself. */
  isAlive = true;
  pings = true;
  heardAt = performance.now();
  /** Breaches that were seen while something else was looked at. */
  broken: Broken | null = null;
  /** Called for each frame, before it is kept. */
  listen: (frame: SeenFrame) => void = () => {};
  readonly #beat: NodeJS.Timeout;

  constructor(socket: Socket) {
    this.socket = socket;
    const reader = new FrameReader((type, flags, streamId, payload) => {
      this.#heard({ type, flags, streamId, payload: Buffer.from(payload) });
      return 'borrowed';
    }, PAYLOAD_BYTES_MAX);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.heardAt = performance.now();
      try {
        reader.push(chunk);
      } catch (error) {
        this.breach('frame-bytes', String(error));
      }
    });
    socket.on('error', () => {});
    const over = (): void => {
      this.closed = true;
      clearInterval(this.#beat);
      socket.destroy();
    };
    socket.on('end', over).on('close', over);
    this.#beat = setInterval(() => this.pings && this.isAlive && this.isLinked && this.send(Frame.PING), PING_EVERY_MS);
  }

  /** Past WELCOME. */
  isLinked = false;
  #isTrickling = false;
  readonly #later: Buffer[] = [];

  send(type: number, payload: Buffer = EMPTY, streamId = 0, flags = 0): void {
    if (this.closed) return;
    const bytes = frameBytes(type, payload, streamId, flags);
    // Not into the middle of a frame.
    if (this.#isTrickling) this.#later.push(bytes);
    else this.socket.write(bytes);
  }

  sendJson(type: number, value: unknown): Buffer {
    const payload = Buffer.from(JSON.stringify(value));
    this.send(type, payload);
    return payload;
  }

  /** Byte by byte, each in a packet of its own. */
  async trickle(bytes: Buffer): Promise<void> {
    this.#isTrickling = true;
    for (const byte of bytes) {
      this.socket.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    this.#isTrickling = false;
    for (const frame of this.#later.splice(0)) this.socket.write(frame);
  }

  close(): void {
    this.socket.destroy();
    clearInterval(this.#beat);
    this.closed = true;
  }

  breach(rule: RuleId, words: string): void {
    this.broken ??= new Broken(rule, words);
  }

  count(type: number): number {
    return this.frames.filter((frame) => frame.type === type).length;
  }

  /** Resolves when it holds. @throws Broken when it does not in time, or the link has ended before. */
  async until(rule: RuleId, what: string, holds: () => boolean, ms = WAIT_MS): Promise<void> {
    const by = performance.now() + ms;
    while (!holds()) {
      if (this.broken !== null) throw this.broken;
      if (this.closed && !holds()) throw new Broken(rule, `${what}: the link ended${this.#reason()}`);
      if (performance.now() > by) throw new Broken(rule, `${what}: not within ${ms} ms`);
      await sleep(2);
    }
    if (this.broken !== null) throw this.broken;
  }

  /** @throws Broken when the peer does not end the link. */
  async ends(rule: RuleId, what: string, ms = WAIT_MS): Promise<void> {
    const by = performance.now() + ms;
    while (!this.closed) {
      if (performance.now() > by) throw new Broken(rule, `${what}, and the link goes on after ${ms} ms`);
      await sleep(2);
    }
  }

  /** @throws Broken when the link ends within the time, or a breach was seen. */
  async staysUp(rule: RuleId, what: string, ms: number): Promise<void> {
    const by = performance.now() + ms;
    while (performance.now() < by) {
      if (this.broken !== null) throw this.broken;
      if (this.closed) throw new Broken(rule, `${what}, and the link ended${this.#reason()}`);
      await sleep(5);
    }
  }

  async take(rule: RuleId, type: number, what: string, ms = WAIT_MS): Promise<SeenFrame> {
    await this.until(rule, what, () => this.frames.some((frame) => frame.type === type), ms);
    const at = this.frames.findIndex((frame) => frame.type === type);
    const [frame] = this.frames.splice(at, 1);
    if (frame === undefined) throw new Broken(rule, what);
    return frame;
  }

  #reason(): string {
    const refusal = this.frames.findLast(({ type }) => type === Frame.REFUSE);
    return refusal === undefined ? '' : ` (${refusal.payload.toString().slice(0, 200)})`;
  }

  #heard(frame: SeenFrame): void {
    if (frame.type === Frame.PING && this.isAlive) this.send(Frame.PONG);
    if (frame.streamId !== 0) this.#heardOnStream(frame);
    this.listen(frame);
    // Content is kept with its stream.
    if (frame.type !== Frame.DATA) this.frames.push(frame);
  }

  #heardOnStream({ type, flags, streamId, payload }: SeenFrame): void {
    if (type === Frame.OPEN) this.#wasReset.delete(streamId);
    else if (this.#wasReset.has(streamId)) this.breach('reset', `frame type ${type} on stream ${streamId} after its RESET`);
    const stream = this.streams.get(streamId);
    if (stream === undefined) return;
    if (type === Frame.DATA) this.#data(stream, payload);
    else if (type === Frame.END) stream.ended = true;
    else if (type === Frame.WINDOW) this.#credit(stream, payload);
    else if (type === Frame.RESET) {
      stream.reset = { code: payload.readUInt32BE(0), flags };
      this.#wasReset.add(streamId);
    }
  }

  #data(stream: SeenStream, payload: Buffer): void {
    stream.chunks.push(payload);
    stream.bytes += payload.length;
    if (stream.bytes > WINDOW + stream.given) {
      this.breach('window-kept', `${stream.bytes} bytes on stream ${stream.id}, ${WINDOW + stream.given} are allowed`);
      return;
    }
    if (stream.isRead && stream.bytes - stream.given >= WINDOW / 2) this.give(stream);
  }

  /** Gives back the credit for all that came. */
  give(stream: SeenStream): void {
    const bytes = stream.bytes - stream.given;
    stream.given += bytes;
    if (bytes > 0) this.send(Frame.WINDOW, u32(bytes), stream.id);
  }

  #credit(stream: SeenStream, payload: Buffer): void {
    if (payload.length !== 4) this.breach('window-given', `WINDOW of ${payload.length} bytes`);
    else stream.credited += payload.readUInt32BE(0);
    if (stream.credited > stream.sent) this.breach('window-given', `credit for ${stream.credited} bytes, ${stream.sent} were sent`);
  }

  /** Sends the bytes within the window. */
  async sendAll(rule: RuleId, stream: SeenStream, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      await this.until(rule, `credit for more than ${stream.sent} bytes`, () => WINDOW + stream.credited > stream.sent);
      const piece = bytes.subarray(at, at + Math.min(16_384, WINDOW + stream.credited - stream.sent));
      stream.sent += piece.length;
      this.send(Frame.DATA, piece, stream.id);
      at += piece.length;
    }
  }
}

export const WINDOW = 524_288;
