/** The linker's end of a connection to the application: a socket, or in an application that pulls by itself the end of a pair in memory. */
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { guard } from '../boundary.ts';
import type { HostPort } from '../config/host-port.ts';
import { sharedReads } from '../memory/reused-reads.ts';

/** Takes a new connection, as a listening server would. */
export type TakeConnection = (connection: Duplex) => void;

/** Where the application accepts, or what takes its connections in this process. */
export type AppAddress = HostPort | TakeConnection;

/** The peer's address that an application sees: the linker of a sidecar has this address, too. */
const PEER = '127.0.0.1';

/** Emits `connect` when the application has it. The bytes of a 'data' event of a socket are overwritten by the next read. */
export function openSocket(app: AppAddress): Duplex {
  if (typeof app === 'function') return new InProcessSocket(app);
  const { host, port } = app;
  const onread = sharedReads(() => socket);
  const socket: Socket = connect({ host, port, noDelay: true, allowHalfOpen: true, onread });
  return socket;
}

/**
 * One end. Bytes that are written to one end are read at the other, with back-pressure; FIN goes over by itself; when one end is destroyed the
 * other one is, too, after it has read what was written before.
 */
class End extends Duplex {
  other: End | null = null;
  #waiting: (() => void) | null = null;

  constructor() {
    super({ allowHalfOpen: true });
  }

  override _read(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, written: (error?: Error | null) => void): void {
    const { other } = this;
    if (other === null || other.destroyed) {
      written(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      return;
    }
    other.receive(chunk, written);
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { other } = this;
    this.other = null;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.();
    if (other !== null && !other.destroyed) setImmediate(guard('application', () => other.lost()));
    done(error);
  }

  receive(chunk: Buffer, received: () => void): void {
    if (this.push(chunk)) received();
    else this.#waiting = received;
  }

  /** The peer is gone. What it had written before is read first, if somebody reads. */
  lost(): void {
    this.other = null;
    if (this.readableEnded || this.readableLength === 0 || !this.readableFlowing) this.destroy();
    else this.once('end', () => this.destroy()).push(null);
  }
}

/** The linker's end. */
export class InProcessSocket extends End {
  constructor(take: TakeConnection) {
    super();
    const end = new ApplicationEnd();
    end.other = this;
    this.other = end;
    process.nextTick(
      guard('application', () => {
        if (this.destroyed) return;
        this.emit('connect');
        take(end);
      }),
    );
  }
}

/** The application's end, with the calls of a socket that servers and their libraries use without asking. */
class ApplicationEnd extends End {
  readonly remoteAddress = PEER;
  readonly remoteFamily = 'IPv4';
  readonly remotePort = 0;
  readonly localAddress = PEER;
  readonly localPort = 0;

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  /** Nodes watch over clients; between linker and application nothing is slow by itself. */
  setTimeout(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  address(): object {
    return { address: this.localAddress, family: this.remoteFamily, port: this.localPort };
  }
}
