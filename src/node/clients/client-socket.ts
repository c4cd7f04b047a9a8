import type { Socket } from 'node:net';
import { type FailureDomain, guard } from '../../boundary.ts';
import { startReading, stopReading } from '../../memory/socket-handle.ts';
import type { TunnelClient } from './tunnel.ts';

/**
 * After the last response what still comes is read and dropped for a while: a socket that is closed with unread input sends a reset, and
 * that would take the response away from the client (RFC 9112 section 9.6).
 */
const LINGER_MS = 2_000;
const LINGER_MS_MAX = 30_000;
const KEEP_ALIVE_PROBE_MS = 60_000;
/** An idle connection is closed after its time and at most this share more. */
const IDLE_LOOK_SHARE = 1 / 8;

interface SocketEvents {
  data(chunk: Buffer): void;
  drained(): void;
  /** The client sends no more. */
  ended(): void;
  closed(broken: boolean): void;
}

const ignore = (): void => {};

/** A client's socket, with when it is to be looked at again. */
export class ClientSocket implements TunnelClient {
  readonly socket: Socket;
  /** On the monotonic clock; Infinity: not at all. */
  deadline: number;
  /** For its port. */
  place: number | null = null;
  #paused = false;
  #moved = 0;
  /** Ends after this time without a byte; Infinity: it may be silent for ever. */
  #idleMsMax = Number.POSITIVE_INFINITY;
  #movedAt = 0;
  /** When lingering ends in any case; null until the last words are with the kernel. */
  #lingersUntil: number | null = null;

  constructor(socket: Socket, deadline: number) {
    this.socket = socket;
    this.deadline = deadline;
  }

  /** An error in an event ends `domain`. */
  protected listen(domain: FailureDomain, { data, drained, ended, closed }: SocketEvents): void {
    const { socket } = this;
    socket.on('data', guard(domain, data)).on('drain', guard(domain, drained)).on('end', guard(domain, ended));
    // 'close' follows an error.
    socket.on('error', ignore).on('close', guard(domain, closed));
  }

  get isEncrypted(): boolean {
    return 'encrypted' in this.socket;
  }

  /** True while input is not read: then the socket itself reports neither FIN nor RST. */
  get paused(): boolean {
    return this.#paused && !this.socket.destroyed;
  }

  /** The client does not read as fast as it is written to: wait for `drain`. */
  get isFull(): boolean {
    return this.socket.writableNeedDrain;
  }

  /** Bytes that the kernel has taken for the client. */
  get bytesTaken(): number {
    return this.socket.bytesWritten - this.socket.writableLength;
  }

  get hasUnsent(): boolean {
    return this.socket.writableLength > 0;
  }

  write(bytes: Buffer): boolean {
    return this.socket.write(bytes);
  }

  end(): void {
    this.socket.end();
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.socket.pause();
    if (this.isEncrypted) stopReading(this.socket);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.isEncrypted) startReading(this.socket);
    this.socket.resume();
  }

  /** Breaks the connection, so that the client can't take what it has for the whole. */
  abort(): void {
    // A TLS connection that ends without its closing alert is broken too, and Node resets no other than plain sockets; one whose FIN
    // is under way it would neither reset nor ever close.
    if (this.isEncrypted || this.socket.writableEnded) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  /** Finds out that the client's machine is gone while neither side has anything to say. */
  probe(): void {
    this.socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
  }

  /** False when no byte has moved in either direction since this was asked last. */
  hasMoved(): boolean {
    const moved = this.socket.bytesRead + this.socket.bytesWritten - this.socket.writableLength;
    const has = moved !== this.#moved;
    this.#moved = moved;
    return has;
  }

  /** From now on it is idle when no byte moves for `timeoutMs`; 0: it never is. */
  watchIdle(timeoutMs: number): void {
    this.#idleMsMax = timeoutMs === 0 ? Number.POSITIVE_INFINITY : timeoutMs;
    this.#movedAt = performance.now();
    this.deadline = this.#movedAt + this.#idleMsMax * IDLE_LOOK_SHARE;
  }

  /** To be asked at the deadline, which is set anew when it is not idle yet. */
  isIdle(now: number): boolean {
    if (this.hasMoved()) this.#movedAt = now;
    if (now - this.#movedAt >= this.#idleMsMax) return true;
    this.deadline = now + this.#idleMsMax * IDLE_LOOK_SHARE;
    return false;
  }

  /** Says the last words; then the client has a moment to read them and to close. */
  linger(last: Buffer | null): void {
    const said = (): void => {
      const now = performance.now();
      this.#lingersUntil = now + LINGER_MS_MAX;
      this.deadline = now + LINGER_MS;
    };
    this.resume();
    if (last === null) this.socket.end(said);
    else this.socket.end(last, said);
  }

  /** The last words are with the kernel, if not with the client. */
  get hasSaid(): boolean {
    return this.#lingersUntil !== null;
  }

  /** A client that sends on while it should close. */
  drop(): void {
    if (this.#lingersUntil !== null) this.deadline = Math.min(performance.now() + LINGER_MS, this.#lingersUntil);
  }
}
