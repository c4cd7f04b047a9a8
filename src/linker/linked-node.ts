import { caught, internalError } from '../boundary.ts';
import { type HostPort, parseDialAddress } from '../config/host-port.ts';
import { ResetCode, type ResetCodeValue } from '../link/frames.ts';
import type { Link } from '../link/link.ts';
import { type DoneHow, LinkerLink, type LinkerLinkEvents } from '../link/linker-link.ts';
import type { InstanceReport } from '../link/node-link.ts';
import type { Stream } from '../link/stream.ts';
import type { AppPool } from './app-pool.ts';
import type { AppSide, Lender } from './app-side.ts';
import type { Slots } from './slots.ts';

/** What a linked node asks for, and what becomes of its link. */
export interface LinkedNodeEvents {
  moveWanted(from: LinkedNode, count: number, address: HostPort | null, said: string): void;
  /** Slots are at home that were not. */
  slotsHome(): void;
  newest(yes: boolean, order: number | null): void;
  retireAnswer(yes: boolean): void;
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
  #lent = 0;
  #inUse = 0;

  constructor(link: Link, node: string, slots: Slots, pool: AppPool, events: LinkedNodeEvents) {
    this.node = node;
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

  /** Lends slots that are at home. */
  grant(count: number): void {
    if (count < 1 || this.#state === 'down') return;
    this.#slots.lend(count);
    this.#lent += count;
    this.#link.grant(count);
  }

  recall(): void {
    if (this.#state !== 'down') this.#link.recall(this.#lent);
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
    this.#inUse++;
    this.#slots.streamBegan();
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
    if (how !== 'close') {
      this.#inUse--;
      this.#slots.streamEnded();
    }
  }

  parked(stream: Stream): void {
    this.#inUse--;
    this.#slots.streamEnded();
    (stream.handler as AppSide).park();
  }

  unparked(stream: Stream): void {
    this.#inUse++;
    this.#slots.streamBegan();
    (stream.handler as AppSide | null)?.unpark();
  }

  returned(count: number): void {
    this.#takeBack(count);
    this.#events.slotsHome();
  }

  moveWanted(count: number, said: string): void {
    this.#takeBack(count);
    this.#events.moveWanted(this, count, parseDialAddress(said), said);
  }

  newest(yes: boolean, order: number | null): void {
    this.#events.newest(yes, order);
  }

  retireAnswer(yes: boolean): void {
    this.#events.retireAnswer(yes);
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
    this.#events.down(this, reason);
  }

  // ── the pool's word ──

  free(stream: Stream, code: ResetCodeValue, reached: boolean, reused: boolean): void {
    if (stream.parked) {
      this.#link.free(stream, code, reached, reused);
      return;
    }
    this.#inUse--;
    if (this.#state === 'down') {
      this.#slots.orphanHome();
      this.#slots.streamEnded();
      this.#events.slotsHome();
      return;
    }
    this.#link.free(stream, code, reached, reused);
    this.#slots.streamEnded();
  }

  #takeBack(count: number): void {
    this.#slots.takeBack(count);
    this.#lent -= count;
    if (this.#lent === 0) this.idleSince = performance.now();
  }
}
