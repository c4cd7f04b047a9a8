/**
 * The connections to the application: at most one for each slot, those included that are kept for the next stream and those
 * that are closing. A stream for which there is no place waits until a connection is really closed. One that begins with a PROXY
 * header serves the client that it names, and nobody else.
 */
import { attempt, guard } from '../boundary.ts';
import type { HostPort } from '../config/host-port.ts';
import type { ProxyVersion } from '../config/proxy-protocol.ts';
import { Flag, ResetCode } from '../link/frames.ts';
import type { DoneHow } from '../link/linker-link.ts';
import type { Stream } from '../link/stream.ts';
import { ChurnSet } from '../memory/churn-map.ts';
import { AckStalls } from './ack-stalls.ts';
import { AppConnection, type ConnectionOwner } from './app-connection.ts';
import type { AppSide, Lender } from './app-side.ts';
import { proxyHeader } from './proxy-header.ts';

/** A request that can't be sent twice goes out on a kept connection only when that served a moment ago: the application's own keep-alive time is longer. */
const CAREFUL_IDLE_MS_MAX = 500;

export interface PoolTiming {
  /** An application that is silent after our FIN computes: it is waited for. */
  readonly abortTimeoutMs: number;
  /** One that writes on after our FIN, or had nothing to do, is cut off. */
  readonly discardTimeoutMs: number;
}

export interface PoolEvents {
  /** The application did not accept a connection; or `starved`, in words, because this process has no file descriptor left for one. */
  refused(starved: string | null): void;
  /** From now on no connection is kept: the application's answers stall on them. */
  stalls(): void;
  /** A connection is closed, or a reserved place is free. */
  placeFree(): void;
  /** The application has completed its first answer. */
  answered(): void;
}

/** `open`: connections are kept. `emptying`: served and closed. `shut`: nothing is served. */
type PoolState = 'open' | 'emptying' | 'shut';

export class AppPool implements ConnectionOwner {
  /** Where the application accepts; null until it did, and no slot is lent before. */
  address: HostPort | null = null;
  /** The application has completed an answer, or a connection in which it said something. */
  hasAnswered = false;
  readonly #concurrency: number;
  readonly #timing: PoolTiming;
  readonly #proxyProtocol: ProxyVersion | undefined;
  readonly #events: PoolEvents;
  readonly #connections = new ChurnSet<AppConnection>();
  /** The one that has waited longest first. */
  readonly #parked = new ChurnSet<AppConnection>();
  /** The most recently used last. */
  readonly #kept: AppConnection[] = [];
  readonly #closing = new ChurnSet<AppConnection>();
  readonly #waiting: WaitingStream[] = [];
  readonly #stalls = new AckStalls();
  #reserved = 0;
  #state: PoolState = 'open';
  #sweep: NodeJS.Timeout | null = null;

  constructor(concurrency: number, timing: PoolTiming, proxyProtocol: ProxyVersion | undefined, events: PoolEvents) {
    this.#concurrency = concurrency;
    this.#timing = timing;
    this.#proxyProtocol = proxyProtocol;
    this.#events = events;
  }

  /** Connections and reserved places. */
  get places(): number {
    return this.#connections.size + this.#reserved;
  }

  get isEmpty(): boolean {
    return this.places === 0 && this.#waiting.length === 0;
  }

  /** A stream begins; `flags` are those of its OPEN. */
  open(stream: Stream, flags: number, lender: Lender): void {
    if (this.#state === 'shut') {
      lender.free(stream, ResetCode.APP_REFUSED, false, false);
      return;
    }
    const fresh = (flags & Flag.FRESH) !== 0;
    const kept = fresh ? null : this.#takeKept(stream.client, (flags & Flag.CAREFUL) !== 0);
    if (kept !== null) kept.serve(stream, lender);
    else if (this.places < this.#concurrency) this.#dial(stream.client).serve(stream, lender);
    else this.#wait(stream, lender, fresh);
  }

  /** A place for a connection that is not a stream's; null when there is none. The release is to be called once. */
  reserve(): (() => void) | null {
    if (this.places >= this.#concurrency) return null;
    this.#reserved++;
    return () => {
      this.#reserved--;
      this.#placeFree();
    };
  }

  /** From now on no connection is kept. */
  empty(): void {
    if (this.#state !== 'open') return;
    this.#state = 'emptying';
    for (const connection of this.#kept.splice(0)) connection.close();
    for (const connection of this.#parked) connection.close();
  }

  /** Ends everything at once. */
  abort(): void {
    this.#state = 'shut';
    for (const waiting of this.#waiting.splice(0)) attempt(waiting, () => waiting.refuse());
    this.#kept.length = 0;
    for (const connection of this.#connections) attempt('application', () => connection.abort());
  }

  // ── what connections say ──

  keep(connection: AppConnection): boolean {
    if (this.#stalled(connection)) return false;
    const next = this.#waiting[0];
    if (next !== undefined) {
      if (next.fresh || next.stream.client !== connection.client) return false;
      this.#waiting.shift();
      connection.serve(next.stream, next.lender);
      next.handOver(connection);
      return true;
    }
    if (this.#state !== 'open') return false;
    this.#kept.push(connection);
    return true;
  }

  answered(): void {
    if (this.hasAnswered) return;
    this.hasAnswered = true;
    this.#events.answered();
  }

  parked(connection: AppConnection): void {
    this.#parked.add(connection);
    if (this.#state !== 'open' || this.#waiting.length > 0) connection.close();
  }

  unparked(connection: AppConnection): void {
    this.#parked.delete(connection);
  }

  spoiled(connection: AppConnection): void {
    const at = this.#kept.lastIndexOf(connection);
    if (at !== -1) this.#kept.splice(at, 1);
  }

  closing(connection: AppConnection, idle: boolean): void {
    const { abortTimeoutMs, discardTimeoutMs } = this.#timing;
    connection.closeBy = performance.now() + (idle ? discardTimeoutMs : abortTimeoutMs);
    this.#closing.add(connection);
    // One timer for all of them: an application that ends each connection would otherwise cost a timer a request.
    if (this.#sweep !== null) return;
    const sweep = guard('timer', () => this.#destroyOverdue());
    this.#sweep = setInterval(sweep, Math.min(250, this.#timing.discardTimeoutMs / 4));
  }

  closed(connection: AppConnection, refused: boolean): void {
    this.#closing.delete(connection);
    this.#connections.delete(connection);
    if (this.#closing.size === 0 && this.#sweep !== null) {
      clearInterval(this.#sweep);
      this.#sweep = null;
    }
    if (refused) this.#events.refused(connection.starved);
    this.#placeFree();
  }

  again(stream: Stream, lender: Lender): void {
    this.open(stream, Flag.FRESH, lender);
  }

  #dial(client: string): AppConnection {
    const version = this.#proxyProtocol;
    const connection = new AppConnection(this, this.address as HostPort, client, version && proxyHeader(version, client));
    this.#connections.add(connection);
    return connection;
  }

  #takeKept(client: string, careful: boolean): AppConnection | null {
    let at = this.#kept.length - 1;
    while (at >= 0 && this.#kept[at]?.client !== client) at--;
    const newest = this.#kept[at];
    if (newest === undefined || (careful && performance.now() - newest.keptAt >= CAREFUL_IDLE_MS_MAX)) return null;
    if (at === this.#kept.length - 1) this.#kept.length--;
    else this.#kept.splice(at, 1);
    return newest;
  }

  #wait(stream: Stream, lender: Lender, fresh: boolean): void {
    this.#waiting.push(new WaitingStream(this.#waiting, stream, lender, fresh));
    this.#closeOneIdle();
  }

  #closeOneIdle(): void {
    const kept = this.#kept.shift();
    if (kept !== undefined) {
      kept.close();
      return;
    }
    for (const parked of this.#parked) {
      parked.close();
      return;
    }
  }

  #stalled(connection: AppConnection): boolean {
    if (this.#stalls.found) return true;
    if (!connection.reused) return false;
    this.#stalls.saw(connection.answerGapMs);
    if (this.#stalls.found) this.#events.stalls();
    return this.#stalls.found;
  }

  #placeFree(): void {
    const next = this.places < this.#concurrency ? this.#waiting.shift() : undefined;
    if (next !== undefined) {
      const connection = this.#dial(next.stream.client);
      connection.serve(next.stream, next.lender);
      next.handOver(connection);
    }
    this.#events.placeFree();
  }

  #destroyOverdue(): void {
    const now = performance.now();
    for (const connection of this.#closing) {
      if (connection.discards) {
        connection.discards = false;
        connection.closeBy = Math.min(connection.closeBy, now + this.#timing.discardTimeoutMs);
      }
      if (now >= connection.closeBy) connection.destroy();
    }
  }
}

/** A stream for which there is no place yet, with what came for it meanwhile: never more than its window. */
class WaitingStream implements AppSide {
  readonly stream: Stream;
  readonly lender: Lender;
  readonly fresh: boolean;
  readonly #queue: WaitingStream[];
  readonly #chunks: Buffer[] = [];
  #ended = false;

  constructor(queue: WaitingStream[], stream: Stream, lender: Lender, fresh: boolean) {
    this.#queue = queue;
    this.stream = stream;
    this.lender = lender;
    this.fresh = fresh;
    stream.handler = this;
  }

  get where(): 'application' {
    return 'application';
  }

  fail(): void {
    this.#leave();
    this.refuse();
  }

  handOver(connection: AppConnection): void {
    for (const chunk of this.#chunks) connection.onData(chunk);
    if (this.#ended) connection.onEnd();
  }

  refuse(): void {
    this.lender.free(this.stream, ResetCode.APP_REFUSED, false, false);
  }

  onData(chunk: Buffer): boolean {
    this.#chunks.push(chunk);
    return true;
  }

  onEnd(): void {
    this.#ended = true;
  }

  onDrain(): void {}

  onReset(): void {
    this.#leave();
    this.lender.free(this.stream, ResetCode.CLOSED, false, false);
  }

  /** Only a node that is out of order parks what has not been answered. */
  park(): void {
    this.#leave();
    this.lender.free(this.stream, ResetCode.CLOSED, false, false);
  }

  unpark(): void {}

  done(how: DoneHow): void {
    this.#leave();
    if (how === 'close') this.lender.free(this.stream, ResetCode.CLOSED, false, false);
  }

  #leave(): void {
    const at = this.#queue.indexOf(this);
    if (at !== -1) this.#queue.splice(at, 1);
  }
}
