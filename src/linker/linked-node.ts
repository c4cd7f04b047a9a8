import { caught, internalError } from '../boundary.ts';
import { type HostPort, parseDialAddress } from '../config/host-port.ts';
import { ResetCode, type ResetCodeValue } from '../link/frames.ts';
import type { InstanceReport } from '../link/instance-report.ts';
import type { Link } from '../link/link.ts';
import { type DoneHow, LinkerLink, type LinkerLinkEvents } from '../link/linker-link.ts';
import type { Stream } from '../link/stream.ts';
import type { AppPool } from './app-pool.ts';
import type { AppSide, Lender } from './app-side.ts';
import type { Slots } from './slots.ts';

/** The calls of a linked node. */
export interface LinkedNodeEvents {
  moveWanted(from: LinkedNode, count: number, address: HostPort | null, said: string): void;
  /** Slots are at home that were not. */
  slotsHome(): void;
  /** The node wants to have `count` slots at once, for one request; 0: no longer. */
  gather(from: LinkedNode, count: number): void;
  /** A response of the application, of which bytes came last at `heardAt`, says something about the limit. */
  said(text: string, heardAt: number): void;
  newest(yes: boolean, order: number | null): void;
  retireAnswer(yes: boolean): void;
  turnedAway(): void;
  goingAway(linked: LinkedNode): void;
  down(linked: LinkedNode, reason: string): void;
}

/** `up`: it is lent slots. `leaving`: it said so, and is lent none unasked. `dismissed`: so is this link, and another one may take its place. `down`: the link is gone; its streams may still be ending. */
type LinkedState = 'up' | 'leaving' | 'dismissed' | 'down';

/** A node that this instance has a link to: the slots that it was lent, and the streams that it has opened on them. */
export class LinkedNode implements LinkerLinkEvents, Lender {
  readonly node: string;
  /** Every HOST:PORT that is known to lead here. */
  readonly addresses = new Set<string>();
  readonly upSince = performance.now();
  /** Since when it has no slot; performance.now() in ms. */
  idleSince = performance.now();
  readonly #link: LinkerLink;
  readonly #slots: Slots;
  readonly #pool: AppPool;
  readonly #events: LinkedNodeEvents;
  #state: LinkedState = 'up';
  /** The node takes no more than this for a breach of the protocol. */
  readonly #lentMax: number;
  #lent = 0;
  #inUse = 0;
  /** Lent slots that were called back and have not come. */
  #recalled = 0;

  constructor(link: Link, node: string, lentMax: number, slots: Slots, pool: AppPool, events: LinkedNodeEvents) {
    this.node = node;
    this.#lentMax = lentMax;
    this.#slots = slots;
    this.#pool = pool;
    this.#events = events;
    this.#link = new LinkerLink(link, this);
  }

  get state(): LinkedState {
    return this.#state;
  }

  /** Slots lent to this node, in use or idle there. */
  get lent(): number {
    return this.#lent;
  }

  /** Lends up to `most` slots that are at home. */
  grant(most: number): void {
    const count = Math.min(most, this.#slots.atHome, this.#lentMax - this.#lent);
    if (count < 1 || this.#state === 'down') return;
    this.#slots.lend(count);
    this.#lent += count;
    this.#link.grant(count);
  }

  /** Lent slots that were called back and have not come. */
  get recalled(): number {
    return this.#recalled;
  }

  /** Lent slots that serve nobody as far as is known here, and were not called back. */
  get idle(): number {
    return Math.max(0, this.#lent - this.#inUse - this.#recalled);
  }

  /** Calls up to `most` slots back: idle ones come at once, the others as their streams end. Returns how many. */
  recall(most: number): number {
    const count = Math.min(most, this.#lent - this.#recalled);
    if (count < 1 || this.#state === 'down') return 0;
    this.#recalled += count;
    this.#link.recall(count);
    return count;
  }

  gathersAtMost(count: number): void {
    if (this.#state !== 'down') this.#link.gathersAtMost(count);
  }

  report(report: InstanceReport): void {
    this.#link.report(report);
  }

  askRetire(): void {
    this.#link.askRetire();
  }

  askStart(): void {
    this.#link.askStart();
  }

  moveFailed(count: number, said: string): void {
    if (this.#state !== 'down') this.#link.moveFailed(count, said);
  }

  close(reason: string): void {
    this.#link.link.close(reason);
  }

  // ── the node's word ──

  opened(stream: Stream, flags: number): void {
    this.#began(stream);
    try {
      this.#pool.open(stream, flags, this);
    } catch (error) {
      this.#failed(stream, error);
    }
  }

  /** The node hears that its stream is over: its slot must not stay in use for nothing. */
  #failed(stream: Stream, error: unknown): void {
    const { handler } = stream;
    if (handler !== null) {
      caught(handler, error);
      return;
    }
    internalError('application', error);
    this.free(stream, ResetCode.APP_REFUSED, false, false);
  }

  done(stream: Stream, how: DoneHow): void {
    // Each stream here has a handler that the pool gave it.
    const side = stream.handler as AppSide;
    const before = this.#inUse;
    try {
      side.done(how);
    } catch (error) {
      caught(side, error);
      // Its end has freed the stream already.
      if (this.#inUse < before) return;
    }
    if (how !== 'close') this.#ended(stream);
  }

  wantedBack(stream: Stream): void {
    (stream.handler as AppSide).giveBack?.();
  }

  parked(stream: Stream): void {
    this.#inUse -= stream.cost;
    this.#slots.streamEnded(stream.quiet, stream.cost);
    (stream.handler as AppSide).park();
    this.#pool.look();
  }

  #began({ quiet, cost }: Stream): void {
    this.#inUse += cost;
    this.#slots.streamBegan(quiet, cost);
  }

  #ended({ quiet, cost }: Stream): void {
    this.#inUse -= cost;
    this.#slots.streamEnded(quiet, cost);
    this.#pool.look();
  }

  unparked(stream: Stream): void {
    this.#began(stream);
    this.#pool.unpark(stream, this);
  }

  returned(count: number): void {
    this.#recalled = Math.max(0, this.#recalled - count);
    this.#takeBack(count);
    this.#events.slotsHome();
  }

  moveWanted(count: number, said: string): void {
    this.#takeBack(count);
    this.#events.moveWanted(this, count, parseDialAddress(said), said);
  }

  said(stream: Stream, text: string): void {
    const side = stream.handler as AppSide | null;
    if (side !== null) this.#events.said(text, side.heardAt);
  }

  gather(count: number): void {
    this.#events.gather(this, count);
  }

  newest(yes: boolean, order: number | null): void {
    this.#events.newest(yes, order);
  }

  retireAnswer(yes: boolean): void {
    this.#events.retireAnswer(yes);
  }

  turnedAway(): void {
    this.#events.turnedAway();
  }

  goAway(anew: boolean): void {
    if (this.#state !== 'up') return;
    this.#state = anew ? 'dismissed' : 'leaving';
    this.#events.goingAway(this);
  }

  down(reason: string): void {
    this.#state = 'down';
    this.#slots.linkLost(this.#lent, this.#inUse);
    this.#lent = 0;
    this.#recalled = 0;
    this.#events.down(this, reason);
  }

  // ── the pool's word ──

  free(stream: Stream, code: ResetCodeValue, reached: boolean, reused: boolean): void {
    if (stream.parked) {
      this.#link.free(stream, code, reached, reused);
      return;
    }
    if (this.#state === 'down') {
      this.#slots.orphanHome(stream.cost);
      this.#ended(stream);
      this.#events.slotsHome();
      return;
    }
    this.#link.free(stream, code, reached, reused);
    this.#ended(stream);
  }

  waits(stream: Stream): void {
    if (this.#state !== 'down') this.#link.waits(stream);
  }

  #takeBack(count: number): void {
    this.#slots.takeBack(count);
    this.#lent -= count;
    // The node has counted for the recall also slots that were moved away in the same moment.
    this.#recalled = Math.min(this.#recalled, this.#lent);
    if (this.#lent === 0) this.idleSince = performance.now();
  }
}
