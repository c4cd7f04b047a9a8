import { ResetCode, type ResetCodeValue } from '../../link/frames.ts';
import type { NodeLink } from '../../link/node-link.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';
import type { Ownership } from '../../memory/reused-reads.ts';
import type { LiveVisit } from '../visits/live-visit.ts';
import { causeOf } from '../visits/retry-policy.ts';
import type { EndedBy, EndReason } from '../visits/visit-record.ts';

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

/** The visit that it is the last part of. */
export type TunnelVisit = Pick<
  LiveVisit,
  'onConnected' | 'began' | 'passed' | 'took' | 'endedSilently' | 'streamFailed' | 'blame' | 'end' | 'failed'
>;

/** How many tunnels of the route are open. */
interface TunnelCount {
  tunnels: number;
}

const nothing = (): void => {};

/** Nobody wants to know of it any more. */
export const UNWATCHED: TunnelVisit = {
  onConnected: nothing,
  began: nothing,
  passed: nothing,
  took: nothing,
  endedSilently: nothing,
  streamFailed: () => null,
  blame: nothing,
  end: nothing,
  failed: nothing,
};

/** Passes bytes in both directions, and each direction ends by itself. The slot is in use until both have ended. */
export class Tunnel implements StreamHandler {
  readonly #client: TunnelClient;
  readonly #visit: TunnelVisit;
  readonly #link: NodeLink;
  #stream: Stream | null;
  /** Received from the application and waiting in the client's socket. */
  #undrained: number;

  readonly #route: TunnelCount | null;

  /** `route` counts it. Takes over the stream, of whose bytes `undrained` still wait in the client's socket. */
  constructor(client: TunnelClient, visit: TunnelVisit, link: NodeLink, stream: Stream, undrained: number, route: TunnelCount | null) {
    this.#client = client;
    this.#visit = visit;
    this.#link = link;
    this.#stream = stream;
    this.#undrained = undrained;
    stream.handler = this;
    this.#route = route;
    if (route !== null) route.tunnels++;
  }

  get where(): 'visit' {
    return 'visit';
  }

  fail(): void {
    const stream = this.#stream;
    this.#leave();
    if (stream !== null) {
      this.#link.reset(stream, ResetCode.CANCEL);
      this.#visit.failed('internal_error');
    }
    this.#client.abort();
  }

  /** Says who caused the end that follows, and why. */
  blame(by: EndedBy, reason: EndReason): void {
    this.#visit.blame(by, reason);
  }

  // ── the client's side ──

  clientData(chunk: Buffer): void {
    this.#visit.took(chunk.length);
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
    this.#leave();
    this.#visit.end('C', 'client_closed');
  }

  // ── the application's side ──

  onData(chunk: Buffer): Ownership {
    this.#visit.began(0);
    this.#visit.passed(chunk.length);
    if (this.#client.write(chunk)) this.#stream?.consumed(chunk.length);
    else this.#undrained += chunk.length;
    return this.#client.hasUnsent ? 'kept' : 'borrowed';
  }

  onEnd(): void {
    if (this.#stream?.state === 'closing') this.#visit.endedSilently();
    else this.#visit.streamFailed({ cause: 'application_silent', reached: true, reused: false });
    this.#client.end();
    this.#endIfBothEnded();
  }

  onConnected(microseconds: number): void {
    this.#visit.onConnected(microseconds);
  }

  onDrain(): void {
    this.#client.resume();
    this.#endIfBothEnded();
  }

  onReset(code: ResetCodeValue, reached: boolean, reused: boolean): void {
    this.#leave();
    const cause = causeOf(code);
    this.#visit.streamFailed({ cause, reached, reused });
    this.#visit.failed(cause);
    this.#client.abort();
  }

  #leave(): void {
    if (this.#stream !== null && this.#route !== null) this.#route.tunnels--;
    this.#stream = null;
  }

  #endIfBothEnded(): void {
    if (this.#stream?.state !== 'closing') return;
    this.#link.doneAndClose(this.#stream);
    this.#leave();
    this.#visit.end('-');
  }
}
