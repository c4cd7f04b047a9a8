/**
 * The connections to the application: at most one for each slot, those included that are kept for the next stream and those
 * that are closing. A stream for which there is no place waits until a connection is really closed, and one beyond the limit until it is
 * within it. A connection that begins with a PROXY header serves the client that it names, and nobody else.
 */
import { attempt, guard } from '../boundary.ts';
import type { ProxyVersion } from '../config/proxy-protocol.ts';
import { Flag, ResetCode } from '../link/frames.ts';
import type { Stream } from '../link/stream.ts';
import { ChurnSet } from '../memory/churn-map.ts';
import { AckStalls } from './ack-stalls.ts';
import { AppConnection, type ConnectionOwner } from './app-connection.ts';
import type { Lender } from './app-side.ts';
import type { AppAddress } from './app-socket.ts';
import { proxyHeader } from './proxy-header.ts';
import type { Slots } from './slots.ts';
import { WaitingStream } from './waiting-stream.ts';

/** A request that can't be sent twice goes out on a kept connection only when that served a moment ago: the application's own keep-alive time is longer. */
const CAREFUL_IDLE_MS_MAX = 500;

export interface PoolTiming {
  /** An application that is silent after our FIN computes: it is waited for. */
  readonly abortTimeoutMs: number;
  /** An application that writes after our FIN, or had nothing to do, is cut off. */
  readonly discardTimeoutMs: number;
}

export interface PoolEvents {
  /** The application did not accept a connection; or `starved`, in words, because this process has no file descriptor left for one. */
  refused(starved: string | null): void;
  /** From now on no connection is kept: the application's responses stall on them. */
  stalls(): void;
  /** A connection is closed, or a reserved place is free. */
  placeFree(): void;
  /** The application has completed its first response. */
  answered(): void;
  /** The head of a response says something about the limit. */
  said(text: string): void;
}

/** `open`: connections are kept. `emptying`: served and closed. `shut`: nothing is served. */
type PoolState = 'open' | 'emptying' | 'shut';

export class AppPool implements ConnectionOwner {
  /** Where the application accepts; null until it did, and no slot is lent before. */
  address: AppAddress | null = null;
  /** The application has completed a response, or a connection in which it said something. */
  hasAnswered = false;
  /** Told how long each response took to begin; null: nobody wants to know. */
  took: ((ms: number) => void) | null = null;
  readonly #slots: Slots;
  readonly #timing: PoolTiming;
  readonly #proxyProtocol: ProxyVersion | undefined;
  readonly #events: PoolEvents;
  readonly #connections = new ChurnSet<AppConnection>();
  /** The one that has waited longest first. */
  readonly #parked = new ChurnSet<AppConnection>();
  /** The most recently used last. */
  readonly #kept: AppConnection[] = [];
  readonly #closing = new ChurnSet<AppConnection>();
  /** Streams that the application has not been given, in the order in which they came. */
  readonly #waiting: WaitingStream[] = [];
  readonly #stalls = new AckStalls();
  #reserved = 0;
  #state: PoolState = 'open';
  #sweep: NodeJS.Timeout | null = null;

  constructor(slots: Slots, timing: PoolTiming, proxyProtocol: ProxyVersion | undefined, events: PoolEvents) {
    this.#slots = slots;
    this.#timing = timing;
    this.#proxyProtocol = proxyProtocol;
    this.#events = events;
  }

  /** Connections and reserved places. */
  get places(): number {
    return this.#connections.size + this.#reserved;
  }

  /** Responses that began before `begunBy` and go on, and requests asked before `askedBy` that have none; `silentMax`: of these at most. */
  countLong(begunBy: number, askedBy: number, silentMax: number): number {
    let begun = 0;
    let silent = 0;
    for (const { state, answer } of this.#connections) {
      if (state !== 'serving') continue;
      if (answer.begunAt !== 0) begun += answer.begunAt < begunBy ? 1 : 0;
      else if (answer.askedAt !== 0 && answer.askedAt < askedBy) silent++;
    }
    return begun + Math.min(silent, silentMax);
  }

  get connecting(): AppConnection[] {
    return [...this.#connections].filter(({ state }) => state === 'connecting');
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
    // The stream is counted already.
    if (this.#slots.atApplication > this.#slots.limit) {
      this.#wait(stream, lender, flags);
      this.#sayWaits();
      return;
    }
    const kept = this.#takeKept(stream.client, flags);
    if (kept !== null) kept.serve(stream, lender);
    else if (this.#hasPlace) this.#dial(stream.client).serve(stream, lender);
    else {
      this.#wait(stream, lender, flags);
      this.#closeOneIdle();
    }
  }

  /** The next exchange of a parked stream begins; the stream is counted already. */
  unpark(stream: Stream, lender: Lender): void {
    const side = stream.handler;
    const isBeyond = this.#slots.atApplication > this.#slots.limit;
    if (!(side instanceof AppConnection)) return;
    if (!isBeyond || side.state !== 'parked') {
      side.unpark();
      return;
    }
    this.#wait(stream, lender, Flag.NONE, side);
    this.#sayWaits();
  }

  /** The limit is another one. */
  limitMoved(): void {
    while (this.#isTooWide && this.#kept.length + this.#parked.size > 0) this.#closeOneIdle();
    this.look();
    this.#sayWaits();
  }

  /** A stream has ended, or there is more room: who waits is served. */
  look(): void {
    for (let next = this.#next; next !== null; next = this.#next) {
      const { stream, lender, flags, parked } = next;
      const connection = parked ?? this.#takeKept(stream.client, flags) ?? (this.#hasPlace ? this.#dial(stream.client) : null);
      if (connection === null) {
        if (this.#closing.size < this.#waiting.length) this.#closeOneIdle();
        return;
      }
      next.leave();
      if (parked !== null) {
        stream.handler = parked;
        parked.unpark();
      } else {
        connection.serve(stream, lender);
      }
      next.handOver(connection);
    }
  }

  /** A place for a connection that is not a stream's; null when there is none. The release is to be called once. */
  reserve(): (() => void) | null {
    // An instance that takes nothing now looks all the same whether its application accepts.
    if (this.places >= Math.max(1, this.#slots.limit)) return null;
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
    for (const waiting of [...this.#waiting]) attempt(waiting, () => waiting.end());
    this.#kept.length = 0;
    for (const connection of this.#connections) attempt('application', () => connection.abort());
  }

  // ── what connections say ──

  keep(connection: AppConnection): boolean {
    if (this.#stalled(connection)) return false;
    const next = this.#waiting[0];
    if (this.#isTooWide) return false;
    // The stream that it served is still counted, and the next one takes its place.
    if (next?.parked === null && next.stream.cost === 1 && this.#slots.atApplication <= this.#slots.limit) {
      if (next.fresh || next.stream.client !== connection.client) return false;
      next.leave();
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

  said(text: string): void {
    this.#events.said(text);
  }

  parked(connection: AppConnection): void {
    this.#parked.add(connection);
    if (this.#state !== 'open' || this.#isTooWide || this.#lacksPlace) connection.close();
  }

  unparked(connection: AppConnection): void {
    this.#parked.delete(connection);
    if (this.#waiting.length > 0) this.#waiting.find(({ parked }) => parked === connection)?.leave();
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
    const connection = new AppConnection(this, this.address as AppAddress, client, version && proxyHeader(version, client));
    this.#connections.add(connection);
    return connection;
  }

  /** `flags` are those of the stream's OPEN. */
  #takeKept(client: string, flags: number): AppConnection | null {
    if ((flags & Flag.FRESH) !== 0) return null;
    let at = this.#kept.length - 1;
    while (at >= 0 && this.#kept[at]?.client !== client) at--;
    const newest = this.#kept[at];
    if (newest === undefined) return null;
    if ((flags & Flag.CAREFUL) !== 0 && performance.now() - newest.keptAt >= CAREFUL_IDLE_MS_MAX) return null;
    if (at === this.#kept.length - 1) this.#kept.length--;
    else this.#kept.splice(at, 1);
    return newest;
  }

  get #hasPlace(): boolean {
    return this.places < this.#slots.limit;
  }

  /** There are more connections than the limit allows, those that are about to close left aside. */
  get #isTooWide(): boolean {
    return this.places - this.#closing.size > this.#slots.limit;
  }

  /** The one that waits longest needs a connection, and there is no place for one. */
  get #lacksPlace(): boolean {
    return this.#next?.parked === null && !this.#hasPlace;
  }

  #wait(stream: Stream, lender: Lender, flags: number, parked: AppConnection | null = null): void {
    this.#waiting.push(new WaitingStream({ queue: this.#waiting, slots: this.#slots, stream, lender, flags, parked }));
  }

  /** The one that has waited longest, if there is room for it within the limit. Those that cost more than all of the limit are passed by. */
  get #next(): WaitingStream | null {
    if (this.#waiting.length === 0) return null;
    const next = this.#waiting.find(({ stream }) => stream.cost <= this.#slots.limit);
    return next !== undefined && this.#hasRoom(next) ? next : null;
  }

  #hasRoom({ stream }: WaitingStream): boolean {
    return this.#slots.atApplication + stream.cost <= this.#slots.limit;
  }

  /** The nodes of those for whom there is no room may have it elsewhere. */
  #sayWaits(): void {
    for (const waiting of [...this.#waiting]) if (!this.#hasRoom(waiting)) attempt(waiting, () => waiting.sayWaits());
  }

  #closeOneIdle(): void {
    const kept = this.#kept.shift();
    if (kept !== undefined) {
      kept.close();
      return;
    }
    for (const parked of this.#parked) {
      if (this.#waiting.some((waiting) => waiting.parked === parked)) continue;
      parked.close();
      return;
    }
  }

  #stalled(connection: AppConnection): boolean {
    if (this.#stalls.found) return true;
    if (!connection.reused) return false;
    this.#stalls.saw(connection.responseGapMs);
    if (this.#stalls.found) this.#events.stalls();
    return this.#stalls.found;
  }

  #placeFree(): void {
    this.look();
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
