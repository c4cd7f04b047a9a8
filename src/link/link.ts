import type { Socket } from 'node:net';
import { caught, type FailureDomain, guard, internalError } from '../boundary.ts';
import { LinkProtocolError } from '../errors.ts';
import type { ChurnMap } from '../memory/churn-map.ts';
import type { Ownership, ReadMemory } from '../memory/reused-reads.ts';
import type { FrameBudget } from './frame-budget.ts';
import { FrameWriter } from './frame-writer.ts';
import { Frame, FrameReader, HANDSHAKE_PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX, ResetCode, readU32 } from './frames.ts';
import { refusalWords } from './json.ts';
import { Stream, WINDOW_BYTES } from './stream.ts';

export interface LinkTiming {
  /** A PING is sent after this time without a byte in either direction. */
  readonly pingAfterMs: number;
  /** A peer that is silent for this long is dead: frozen, cut off, or gone. */
  readonly deadAfterMs: number;
}

export const LINK_TIMING: LinkTiming = { pingAfterMs: 1_000, deadAfterMs: 3_000 };

const NO_FEATURES: ReadonlySet<string> = new Set();

type LinkState = 'handshake' | 'up' | 'down';

/** The link after the handshake. The node's end opens streams, the linker's end lends slots. */
export interface LinkRole {
  readonly streams: ChurnMap<number, Stream>;
  /** The budget for frames that are not payload of a living stream. The role spends it for the frames that it receives. */
  readonly budget: FrameBudget;
  /** A frame that is not the same for both ends. Returns whether the payload's memory is used beyond the call. @throws LinkProtocolError */
  receive(type: number, flags: number, streamId: number, payload: Buffer): Ownership;
  /** The link is gone, and with it every stream. */
  down(reason: string): void;
}

/** The payload's memory is not used beyond the call. */
export type HandshakeSink = (type: number, payload: Buffer) => void;

/**
 * One connection between a linker and a node: frames in and out, liveness, and the end of everything when it breaks.
 * It starts in the handshake (see handshake.ts) and is given its role when both sides are proved.
 */
export class Link implements FailureDomain {
  readonly where = 'link';
  readonly socket: Socket;
  readonly writer: FrameWriter;
  readonly #reader: FrameReader;
  readonly #memory: ReadMemory | null;
  readonly #timing: LinkTiming;
  #state: LinkState = 'handshake';
  #handshake: HandshakeSink;
  #role: LinkRole | null = null;
  #heardAt = performance.now();
  #tickAt = performance.now();
  /** Bytes written up to the last tick. */
  #toldBytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #downReason: string | null = null;
  readonly #tickMs: number;
  /** Features of both sides, from the handshake. */
  features: ReadonlySet<string> = NO_FEATURES;
  /** Why the link broke while it was still in the handshake. */
  onHandshakeDown: (reason: string) => void = () => {};

  /** `memory`: what the socket reads into, if that is used again. */
  constructor(socket: Socket, handshake: HandshakeSink, timing: LinkTiming = LINK_TIMING, memory: ReadMemory | null = null) {
    this.socket = socket;
    this.#memory = memory;
    this.writer = new FrameWriter(socket, this);
    this.#handshake = handshake;
    this.#timing = timing;
    this.#tickMs = Math.min(timing.pingAfterMs, timing.deadAfterMs / 3);
    this.#reader = new FrameReader((type, flags, id, payload) => this.#receive(type, flags, id, payload), HANDSHAKE_PAYLOAD_BYTES_MAX);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on(
      'error',
      guard(this, (error: Error) => this.close(error.message)),
    );
    socket.on(
      'end',
      guard(this, () => this.close('the peer closed the link')),
    );
    socket.on(
      'close',
      guard(this, () => this.close('the connection was closed')),
    );
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  get remoteAddress(): string {
    return `${this.socket.remoteAddress ?? '?'}:${this.socket.remotePort ?? 0}`;
  }

  /** Both sides are proved: streams may flow, and silence is watched from now on. */
  begin(role: LinkRole): void {
    if (this.#state !== 'handshake') return;
    this.#state = 'up';
    this.#role = role;
    this.#reader.payloadBytesMax = PAYLOAD_BYTES_MAX;
    this.#reader.passesParts = true;
    this.#memory?.grow();
    this.#heardAt = this.#tickAt = performance.now();
    const tick = guard(this, () => this.#tick());
    this.#timer = setInterval(tick, this.#tickMs);
  }

  sendJson(type: number, value: unknown): Buffer {
    const payload = Buffer.from(JSON.stringify(value));
    this.writer.frame(type, 0, 0, payload);
    return payload;
  }

  /** Ends the link at once, and tells the peer why. Idempotent. `why`: what this side logs. */
  refuse(reason: string, why = reason): void {
    if (this.#state === 'down') return;
    this.sendJson(Frame.REFUSE, { reason });
    this.close(why);
  }

  /** Ends the link at once. Idempotent; what was queued before is still handed to the kernel. */
  close(reason: string): void {
    if (this.#state === 'down') return;
    const role = this.#role;
    this.#state = 'down';
    this.#downReason = reason;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.writer.close();
    this.socket.destroySoon();
    // A peer that does not read would keep a destroySoon waiting for ever.
    setTimeout(() => this.socket.destroy(), 1_000).unref();
    if (role === null) {
      this.onHandshakeDown(reason);
      return;
    }
    const streams = [...role.streams.values()];
    role.streams.clear();
    try {
      role.down(reason);
    } catch (error) {
      internalError(this.where, error);
    }
    for (const stream of streams) {
      const handler = stream.handler;
      stream.close();
      Stream.tellReset(handler, ResetCode.LINK_LOST, true, false);
    }
  }

  /** After an error of ours: slots may be counted wrong, so all of them go home. */
  fail(): void {
    this.close('an internal error');
  }

  /** The same after this turn of the event loop: the caller must not see the link end within its call. */
  breakOff(): void {
    this.writer.close();
    setImmediate(guard(this, () => this.fail()));
  }

  get downReason(): string | null {
    return this.#downReason;
  }

  #read(chunk: Buffer): void {
    if (this.#state === 'down') return;
    this.#heardAt = performance.now();
    try {
      if (this.#reader.push(chunk) === 'kept') this.#memory?.keep();
    } catch (error) {
      if (!(error instanceof LinkProtocolError)) {
        caught(this, error);
        return;
      }
      this.refuse(error.message, `protocol error: ${error.message}`);
    }
  }

  #receive(type: number, flags: number, streamId: number, payload: Buffer): Ownership {
    if (this.#state === 'down') return 'borrowed';
    const role = this.#role;
    if (role === null) {
      this.#handshake(type, payload);
      return 'borrowed';
    }
    switch (type) {
      case Frame.DATA: {
        const stream = role.streams.get(streamId);
        // Our peers send no empty DATA. The OPEN of a stream pays for DATA that crosses its end.
        if (stream === undefined || payload.length === 0) role.budget.spend();
        return stream?.receiveData(payload) ?? 'borrowed';
      }
      case Frame.WINDOW: {
        const bytes = readU32(payload);
        // Credit comes in halves of a window: then there is no more of it than of what was sent.
        if (bytes < WINDOW_BYTES / 2 || !role.streams.has(streamId)) role.budget.spend();
        role.streams.get(streamId)?.receiveWindow(bytes);
        return 'borrowed';
      }
      case Frame.END:
        role.budget.spend();
        role.streams.get(streamId)?.receiveEnd();
        return 'borrowed';
      case Frame.PING:
        role.budget.spend();
        // While the peer has not read earlier bytes, it gets no PONG: its pings can't fill the memory here.
        if (this.writer.backlogBytes === 0) this.writer.frame(Frame.PONG, 0, 0, null);
        return 'borrowed';
      case Frame.PONG:
        role.budget.spend();
        return 'borrowed';
      case Frame.REFUSE:
        this.close(refusalWords(payload));
        return 'borrowed';
      default:
        return role.receive(type, flags, streamId, payload);
    }
  }

  #tick(): void {
    const now = performance.now();
    // A pause of this process (SIGSTOP, a long garbage collection) says nothing about the peer, whose bytes may lie
    // unread in the kernel: timers run before reads in the event loop. So the delay of this tick is not counted.
    this.#heardAt = Math.min(now, this.#heardAt + Math.max(0, now - this.#tickAt - this.#tickMs));
    this.#tickAt = now;
    const silentMs = now - this.#heardAt;
    if (silentMs >= this.#timing.deadAfterMs) this.close(`the peer is silent for ${Math.round(silentMs)} ms`);
    else if (silentMs >= this.#timing.pingAfterMs * 0.9 || this.socket.bytesWritten === this.#toldBytes) {
      // The peer's own PING may wait behind megabytes on a slow network, while we only read.
      this.#role?.budget.earn(1);
      this.writer.frame(Frame.PING, 0, 0, null);
      this.writer.flush();
    }
    this.#toldBytes = this.socket.bytesWritten;
  }
}
