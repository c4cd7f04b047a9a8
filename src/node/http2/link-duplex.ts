import { Duplex } from 'node:stream';
import { guard } from '../../boundary.ts';
import type { ResetCodeValue } from '../../link/frames.ts';
import type { NodeLink } from '../../link/node-link.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';
import type { ApplicationFrames } from './application-frames.ts';

/** The application has closed its connection, and nothing of what it said before is read in this time: then nothing of it will be. */
const LAST_READ_MS = 1_000;

export interface LinkDuplexEvents {
  /** The linker ends the stream. */
  wasReset(code: ResetCodeValue, reached: boolean): void;
  /** How long connecting to the application took. */
  connected(microseconds: number): void;
  /** Once: the frames are over. */
  framesOver(): void;
}

/** A link's stream as Node's streams are: what an HTTP/2 session towards an application is carried by. Its end gives the slot back, if it has one. */
export class LinkDuplex extends Duplex implements StreamHandler {
  readonly #link: NodeLink;
  readonly #frames: ApplicationFrames;
  readonly #events: LinkDuplexEvents;
  #stream: Stream | null = null;
  /** Received, and not yet read. */
  #unread = 0;
  #written: (() => void) | null = null;
  #lastRead: NodeJS.Timeout | null = null;

  constructor(link: NodeLink, frames: ApplicationFrames, events: LinkDuplexEvents) {
    super({ allowHalfOpen: true });
    this.#link = link;
    this.#frames = frames;
    this.#events = events;
    // 'close' follows.
    this.on('error', () => {});
  }

  get where(): 'visit' {
    return 'visit';
  }

  /** Its end is the session's, and that one's is the visit's. */
  fail(): void {
    this.destroy();
  }

  attach(stream: Stream): void {
    this.#stream = stream;
  }

  /** Gives the slot back and stays. False: it can't. */
  park(): boolean {
    return this.#written === null && this.#stream !== null && this.#link.park(this.#stream);
  }

  /** Takes an idle slot again. False: the linker has ended it. */
  unpark(): boolean {
    if (this.#stream === null) return false;
    this.#link.unpark(this.#stream);
    return true;
  }

  // ── the link's side ──

  onData(chunk: Buffer): boolean {
    if (this.destroyed || this.#frames.areOver) return false;
    this.#frames.receive(chunk);
    if (this.#frames.areOver) {
      this.#events.framesOver();
      return false;
    }
    this.#unread += chunk.length;
    if (this.push(chunk)) this.#consumed();
    return true;
  }

  onEnd(): void {
    this.push(null);
    this.#awaitLastRead(this.readableLength);
  }

  /**
   * Node's session reads no more once nghttp2 has found a connection error, and does not close either when a GOAWAY came before: the
   * connection's end, too, would never be read, and the exchange and its slot would wait for it.
   */
  #awaitLastRead(left: number): void {
    this.#lastRead = setTimeout(
      guard(this, () => {
        if (this.readableEnded || this.destroyed) return;
        if (this.readableLength < left) this.#awaitLastRead(this.readableLength);
        else this.destroy();
      }),
      LAST_READ_MS,
    );
  }

  onConnected(microseconds: number): void {
    this.#events.connected(microseconds);
  }

  onDrain(): void {
    const written = this.#written;
    this.#written = null;
    written?.();
  }

  onReset(code: ResetCodeValue, reached: boolean): void {
    this.#stream = null;
    this.#events.wasReset(code, reached);
    this.destroy();
  }

  // ── the session's side ──

  override _read(): void {
    this.#consumed();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const wereOver = this.#frames.areOver;
    this.#frames.send(chunk);
    if (this.#frames.areOver && !wereOver) this.#events.framesOver();
    if (this.#stream === null || this.#stream.write(chunk)) done();
    else this.#written = done;
  }

  override _final(done: () => void): void {
    this.#stream?.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.#lastRead !== null) clearTimeout(this.#lastRead);
    if (this.#stream !== null) this.#link.doneAndClose(this.#stream);
    this.#stream = null;
    done(error);
  }

  #consumed(): void {
    const bytes = this.#unread;
    this.#unread = 0;
    if (bytes > 0) this.#stream?.consumed(bytes);
  }
}
