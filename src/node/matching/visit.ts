import type { FailureDomain } from '../../boundary.ts';
import type { Ask } from '../../cluster/fair-order.ts';
import type { PullproxyError } from '../../errors.ts';
import type { ColdStageCounters } from './cold-start.ts';
import type { RouteCounters } from './counters.ts';
import { HeldEntry, type HeldQueue } from './held-queue.ts';
import type { Lender } from './lent-slots.ts';
import type { ClientWord } from './queue-rules.ts';
import type { RequestBuffers } from './request-buffers.ts';
import type { RouteWaits } from './route-waits.ts';
import type { SleepRules } from './sleep-rules.ts';
import type { Wish } from './wish.ts';

/** A visit's view of its route. */
export interface VisitRoute {
  readonly name: string;
  readonly counters: RouteCounters;
  readonly coldStages: ColdStageCounters;
  /** The header in which its clients say how long they wait; null: none but `grpc-timeout`. */
  readonly deadlineHeader: string | null;
  /** Null: every request is a reason to run an instance. */
  readonly sleepRules: SleepRules | null;
  /** The queue of its held clients. */
  readonly held: HeldQueue<Visit>;
  /** Null: each of its instances is as good for every client. */
  readonly affinity: { cookieLine(wish: Wish | null, instance: string, isHttps: boolean): string; readonly lines: { tidy(): void } } | null;
  /** What is known of its waits. */
  readonly waits: RouteWaits;
  /** How long a client that comes now will wait; null: that is not known. */
  newcomerWaitMs(now: number): number | null;
  /** Its held clients that have slots brought together. */
  readonly gatherings: { end(visit: Visit): void };
  /** Visits that are held here and are no reason to run an instance. */
  quietHeld: number;
  /** WebSockets and TCP connections that are served from here. */
  tunnels: number;
  /** Another instance than this one serves, here or elsewhere. */
  hasOther(instance: string): boolean;
  /** The client of the visit has gone away before it had a response. */
  left(visit: Visit, now: number): void;
}

/** What a page for a browser, and its place in the line, are made of. */
export interface BrowserRequest {
  readonly host: string;
  /** The client's address. */
  readonly client: string;
  readonly proto: string;
  field(name: string): string | null;
}

/** A request that came back to a place in the line is held for this time; then its page is shown anew. */
export const PLACE_HELD_MS = 5_000;

/** The place in the line to which a request has come back, see http1/places.ts. */
export interface TakenPlace {
  readonly id: string;
  /** When its holder came first: the directory's time in ms. */
  readonly arrival: number;
  /** It has led to a slot. */
  isUsedUp: boolean;
  release(isUsedUp: boolean): void;
}

/** One request or connection of a client on its way to a slot, as `dispatch` sees it: it is served, held or refused. */
export abstract class Visit extends HeldEntry<Visit> implements FailureDomain {
  /** Null until it is admitted. */
  route: VisitRoute | null = null;
  /** Its name in the directory while it is held. */
  holdId = '';
  /** Its place in the queue, where its route has rules for that. */
  ask: Ask | null = null;
  /** When it got its slot, if it was held before: performance.now(). */
  slotAt: number | null = null;
  /** How long it was expected to wait when it came, in whole ms, and the correction in that; -1: that is compared with nothing. */
  expectedMs = -1;
  expectedPerMille = 1_000;
  /** Slots that it takes, all of one instance. */
  get cost(): number {
    return this.ask === null ? 1 : this.ask.cost;
  }

  /** Which instance it would rather have; null: its route has no affinity, or it was not asked yet. */
  affinity: Wish | null = null;

  /** An instance that has failed it: it goes there again only if no other one has an idle slot. */
  avoids: string | null = null;

  /** `taken`: another request has the place for which it came back. */
  place: TakenPlace | 'taken' | null = null;

  /** It is no reason to run an instance: none is started for it, and none stays awake. */
  quiet = false;

  /** Its client does not want a response after that: performance.now(). Null: it does not say. */
  deadlineAt: number | null = null;
  /** Runs until then, while it is held. */
  deadlineTimer: NodeJS.Timeout | null = null;

  /** Tells its client at intervals that it is held. */
  signalTimer: NodeJS.Timeout | null = null;

  /** Runs until a browser is shown a page instead of waiting on. */
  pageTimer: NodeJS.Timeout | null = null;

  /** Its page is shown in time. */
  override get isTimeless(): boolean {
    return this.place !== null && this.place !== 'taken';
  }

  isTooLate(now: number): boolean {
    return this.deadlineAt !== null && now >= this.deadlineAt;
  }

  get where(): 'visit' {
    return 'visit';
  }

  /** It comes from a browser that would rather see a page than wait; null: it does not. */
  get browser(): BrowserRequest | null {
    return null;
  }

  /** The words of its client. They are read again when the rules of its route change. */
  abstract get word(): ClientWord;

  /** Its client understands interim responses. */
  get takesSignals(): boolean {
    return false;
  }

  /** Tells its client that it is still held. */
  signal(): void {}

  /** Its client takes a response that begins with comments. */
  get takesComments(): boolean {
    return false;
  }

  /** Tells it so in a comment. `position`: in the line; null: not known. */
  comment(_position: number | null): void {}

  /** Answered, refused, or its client is gone. */
  abstract get isOver(): boolean;

  /**
   * Waits for its body, if that is still to come, and calls `collected` when enough of it is there. Returns whether it waits.
   */
  collectBody(_buffers: RequestBuffers, _collected: () => void): boolean {
    return false;
  }

  /** It is one of this route's. */
  admitted(route: VisitRoute): void {
    this.route = route;
  }

  /** It waits for a slot from now on. */
  held(holdId: string, cold: boolean): void {
    this.holdId = holdId;
    this.cold = cold;
  }

  /** Opens its stream on the lender's link, which has an idle slot. */
  abstract serve(lender: Lender): void;

  /** The end: nothing was opened, or everything failed before a response began. */
  abstract refuse(error: PullproxyError): void;

  /** After an error of ours: its place in the queue or its slot is given up first, then its client gets a 500 or a broken connection. */
  abstract fail(): void;
}
