import { ResetCode, type ResetCodeValue } from '../../link/frames.ts';
import type { NodeLink } from '../../link/node-link.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';
import type { VisitRecord } from '../visits/visit-record.ts';

/** The client's connection, as a tunnel needs it. */
export interface TunnelClient {
  write(bytes: Buffer): boolean;
  /** Something that was written is not with the kernel yet. */
  readonly hasUnsent: boolean;
  /** Half-close, after everything that was written. */
  end(): void;
  pause(): void;
  resume(): void;
  /** Breaks the connection. */
  abort(): void;
}

/** Bytes both ways, whatever they are, and each direction ends by itself. Its slot is in use until both have ended. */
export class Tunnel implements StreamHandler {
  readonly #client: TunnelClient;
  readonly #link: NodeLink;
  /** Of the visit that it is a part of. */
  readonly record: VisitRecord | null;
  #stream: Stream | null;
  /** Received from the application and waiting in the client's socket. */
  #undrained: number;

  /** Takes over the stream, of whose bytes `undrained` still wait in the client's socket. */
  constructor(client: TunnelClient, link: NodeLink, stream: Stream, undrained: number, record: VisitRecord | null) {
    this.#client = client;
    this.#link = link;
    this.#stream = stream;
    this.#undrained = undrained;
    this.record = record;
    stream.handler = this;
  }

  get where(): 'visit' {
    return 'visit';
  }

  fail(): void {
    const stream = this.#stream;
    this.#stream = null;
    if (stream !== null) this.#link.reset(stream, ResetCode.CANCEL);
    this.#client.abort();
    this.record?.end('I', 'internal_error');
  }

  // ── the client's side ──

  clientData(chunk: Buffer): void {
    if (this.record !== null) this.record.bytesIn += chunk.length;
    if (this.#stream !== null && !this.#stream.write(chunk)) this.#client.pause();
  }

  clientEnded(): void {
    this.#stream?.end();
    this.#endIfBothEnded();
  }

  clientDrained(): void {
    const bytes = this.#undrained;
    this.#undrained = 0;
    if (bytes > 0) this.#stream?.consumed(bytes);
  }

  /** Its connection is gone. `inOrder`: both directions had ended before, and what still waits for the application is sent. */
  clientGone(inOrder: boolean): void {
    if (this.#stream === null || inOrder) return;
    this.record?.end('C', 'client_closed');
    this.#link.reset(this.#stream, ResetCode.CANCEL);
    this.#stream = null;
  }

  // ── the application's side ──

  onData(chunk: Buffer): boolean {
    this.record?.passed(chunk.length);
    if (this.#client.write(chunk)) this.#stream?.consumed(chunk.length);
    else this.#undrained += chunk.length;
    return this.#client.hasUnsent;
  }

  onEnd(): void {
    this.#client.end();
    this.#endIfBothEnded();
  }

  onConnected(microseconds: number): void {
    this.record?.connected(microseconds);
  }

  onDrain(): void {
    this.#client.resume();
    this.#endIfBothEnded();
  }

  onReset(code: ResetCodeValue): void {
    this.#stream = null;
    if (code === ResetCode.LINK_LOST) this.record?.end('D', 'link_lost');
    else this.record?.end('S', code === ResetCode.APP_REFUSED ? 'application_refused' : 'application_broke_off');
    this.#client.abort();
  }

  #endIfBothEnded(): void {
    if (this.#stream?.state !== 'closing') return;
    this.#link.doneAndClose(this.#stream);
    this.#stream = null;
    this.record?.end('-');
  }
}
