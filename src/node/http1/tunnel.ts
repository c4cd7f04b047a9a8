import { ResetCode } from '../../link/frames.ts';
import type { NodeLink } from '../../link/node-link.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';

/** The client's connection, as a tunnel needs it. */
export interface TunnelClient {
  write(bytes: Buffer): boolean;
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
  #stream: Stream | null;
  /** Received from the application and waiting in the client's socket. */
  #undrained: number;

  /** Takes over the stream, of whose bytes `undrained` still wait in the client's socket. */
  constructor(client: TunnelClient, link: NodeLink, stream: Stream, undrained: number) {
    this.#client = client;
    this.#link = link;
    this.#stream = stream;
    this.#undrained = undrained;
    stream.handler = this;
  }

  // ── the client's side ──

  clientData(chunk: Buffer): void {
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
    this.#link.reset(this.#stream, ResetCode.CANCEL);
    this.#stream = null;
  }

  // ── the application's side ──

  onData(chunk: Buffer): void {
    if (this.#client.write(chunk)) this.#stream?.consumed(chunk.length);
    else this.#undrained += chunk.length;
  }

  onEnd(): void {
    this.#client.end();
    this.#endIfBothEnded();
  }

  onDrain(): void {
    this.#client.resume();
    this.#endIfBothEnded();
  }

  onReset(): void {
    this.#stream = null;
    this.#client.abort();
  }

  #endIfBothEnded(): void {
    if (this.#stream?.state !== 'closing') return;
    this.#link.doneAndClose(this.#stream);
    this.#stream = null;
  }
}
