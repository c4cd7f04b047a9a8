import { impossible } from '../../boundary.ts';
import type { ErrorCode } from '../../errors.ts';
import { PullproxyError } from '../../errors.ts';
import { Flag, ResetCode } from '../../link/frames.ts';
import type { NodeLink } from '../../link/node-link.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';
import type { Lender } from '../matching/lent-slots.ts';
import { Visit, type VisitRoute } from '../matching/visit.ts';
import { blameFor, type FailureCause, nextAfter, type StreamFailure } from './retry-policy.ts';
import type { EndedBy, EndReason, VisitFacts, VisitRecord } from './visit-record.ts';

/** The visit's calls to the node. */
export interface VisitEvents {
  /** It leaves the queue, if it is there. */
  leave(visit: Visit): void;
  /** It can be tried again, at its original place. */
  retry(visit: Visit): void;
}

/** `waiting`: it has no slot. `open`: it has one. `answering`: its client has a part of the response. `over`: answered, refused, or gone. */
export type VisitState = 'waiting' | 'open' | 'answering' | 'over';

const NEXT_STATES: Readonly<Record<VisitState, readonly VisitState[]>> = {
  waiting: ['open', 'over'],
  open: ['waiting', 'answering', 'over'],
  answering: ['over'],
  over: [],
};

/**
 * The life of a visit, the same for every protocol: how its stream is opened, what it means that one fails, how often it is tried, what it
 * proves about the instance, and what its record is told of all that.
 *
 *     waiting ──▶ open ──▶ answering ──▶ over
 *        ▲──────────┘ (its stream failed, and it may have another)
 */
export abstract class LiveVisit<Events extends VisitEvents = VisitEvents> extends Visit {
  /** Kept while an access log or traces are wanted. */
  record: VisitRecord | null = null;
  /** From the client, as they are passed on. */
  protected bytesIn = 0;
  /** It has a stream of its own on the lender's link. */
  protected stream: Stream | null = null;
  #state: VisitState = 'waiting';
  #attempts = 0;
  /** Those that the application never saw. */
  #excused = 0;
  #lender: Lender | null = null;
  /** Its stream waits at the linker, and was asked to come back. */
  #comesBack = false;
  protected readonly events: Events;

  constructor(events: Events) {
    super(performance.now());
    this.events = events;
  }

  // ── what a protocol says and does ──

  /** For its record. */
  abstract get facts(): VisitFacts;
  /** Its client, as client-ends.ts writes it. */
  protected abstract get clientText(): string;
  // For retry-policy.ts.
  protected abstract get isSafe(): boolean;
  protected abstract get isWhole(): boolean;
  protected get isOpaque(): boolean {
    return false;
  }
  /** It has a slot: begins its stream. */
  protected abstract begin(lender: Lender): void;
  /** It goes back to the queue. Returns the bytes that it keeps there. */
  protected abstract rewind(): number;
  /** It is over: what it keeps is let go. */
  protected abstract release(): void;
  /** Breaks the client's connection, or what it has of one. */
  protected abstract abort(): void;

  // ── its states ──

  get state(): VisitState {
    return this.#state;
  }

  override get isOver(): boolean {
    return this.#state === 'over';
  }

  /** The client has a part of the response. */
  get hasBegun(): boolean {
    return this.#state === 'answering';
  }

  /** The number of its present stream. */
  protected get attempt(): number {
    return this.#attempts;
  }

  /** The lender of its present or last stream. */
  protected get link(): NodeLink {
    return (this.#lender as Lender).link;
  }

  #transition(to: VisitState): void {
    if (!NEXT_STATES[this.#state].includes(to)) impossible(`a visit can not go from ${this.#state} to ${to}`);
    this.#state = to;
  }

  // ── on its way to a slot ──

  override admitted(route: VisitRoute): void {
    super.admitted(route);
    if (this.record !== null) this.record.route = route.name;
  }

  override held(holdId: string, cold: boolean): void {
    super.held(holdId, cold);
    this.record?.held();
  }

  override serve(lender: Lender): void {
    this.#transition('open');
    this.#comesBack = false;
    this.#attempts++;
    this.#lender = lender;
    if (this.record !== null) {
      this.record.affinity = this.affinity?.result ?? null;
      this.record.opened(lender);
    }
    this.begin(lender);
  }

  /** `flags`: of its OPEN; `bytes`: its first ones. */
  protected open(handler: StreamHandler, flags: number, bytes: Buffer): Stream {
    const { link } = this;
    return link.open(
      handler,
      this.record === null ? flags : flags | Flag.TELL,
      bytes,
      link.tellsClients ? this.clientText : '',
      this.quiet,
      this.cost,
    );
  }

  // ── with its stream ──

  onConnected(microseconds: number): void {
    this.record?.connected(microseconds);
  }

  /**
   * The application was not given it, since its limit was lowered meanwhile: it may have a slot elsewhere, if all of it can be said again. Only the
   * linker knows whether the application is given it at this very moment.
   */
  onWaits(): void {
    if (this.#state !== 'open' || !this.isWhole) return;
    this.#comesBack = true;
    this.takeBack();
  }

  protected takeBack(): void {
    this.stream?.takeBack();
  }

  /** The response begins. `judged`: its status as far as the instance is concerned. 0: the protocol has none. */
  began(status: number, judged = status): void {
    if (this.#state !== 'open') return;
    this.#transition('answering');
    this.#lender?.trust?.answered(judged);
    this.record?.began(status);
  }

  /** Bytes of the response go to the client. */
  passed(bytes: number): void {
    if (this.record !== null) this.record.bytesOut += bytes;
  }

  /** Bytes of the client go to the application. */
  took(bytes: number): void {
    this.bytesIn += bytes;
  }

  /** Both sides have ended in order before the response began: the client wanted no response. */
  endedSilently(): void {
    if (this.#state === 'open') this.#lender?.trust?.answered(0);
  }

  /** Its stream ends before its time. Returns why it can't go on; null: it is tried again. */
  streamFailed<Cause extends FailureCause>(failure: StreamFailure<Cause>): Cause | null {
    if (this.#comesBack && !failure.reached && this.#state === 'open' && this.isWhole) {
      this.#excused++;
      this.#goBack();
      return null;
    }
    const { trust, instance } = this.#lender as Lender;
    const failed = {
      ...failure,
      began: this.#state !== 'open',
      safe: this.isSafe,
      whole: this.isWhole,
      unproven: trust !== undefined && trust.state !== 'proven' && this.route?.hasOther(instance) === true,
      opaque: this.isOpaque,
      attempts: this.#attempts - this.#excused,
    };
    const blame = blameFor(failed);
    if (blame === 'failed') trust?.failed();
    else if (blame === 'doubtful') trust?.doubted();
    const next = nextAfter(failed);
    if (next !== 'here' && next !== 'elsewhere') return next;
    this.avoids = next === 'elsewhere' ? instance : null;
    this.#goBack();
    return null;
  }

  /** To its place in the queue. */
  #goBack(): void {
    this.leave();
    this.#transition('waiting');
    this.heldBytes = this.rewind();
    this.events.retry(this);
  }

  // ── its end ──

  /** Its client has gone away: how long it had waited is worth knowing. */
  protected sayLeft(): void {
    if (this.queue !== null || this.#state === 'open') this.route?.left(this, performance.now());
  }

  /** Gives up its place in the queue, or its stream. */
  protected leave(): void {
    if (this.#state === 'waiting') this.events.leave(this);
    else if (this.stream !== null) this.link.reset(this.stream, ResetCode.CANCEL);
    this.stream = null;
  }

  /** It can't go on: the client is told so, or sees a broken connection when it has a part of the response already. */
  breakOff(code: ErrorCode, reason?: string): void {
    this.leave();
    if (this.#state === 'answering') {
      this.failed(code);
      this.abort();
    } else {
      this.refuse(new PullproxyError(code, reason));
    }
  }

  /** Also within `refuse`, or within the end itself: then the response is not to be trusted. */
  override fail(): void {
    if (this.#state === 'over') {
      this.abort();
      return;
    }
    try {
      this.breakOff('internal_error');
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  /** Says who caused the end that follows, and why. */
  blame(by: EndedBy, reason: EndReason): void {
    this.record?.blame(by, reason);
  }

  /** It is over. What comes later, after an error of ours, is too late. */
  end(by: EndedBy, reason: EndReason | null = null): void {
    if (this.#over()) this.record?.end(by, reason);
  }

  /** It is over because of an error. `saidBytes`: what its client was told of it. */
  failed(code: ErrorCode, saidBytes = 0): void {
    if (this.#over()) this.record?.failed(code, saidBytes);
  }

  #over(): boolean {
    if (this.#state === 'over') return false;
    this.#transition('over');
    this.stream = null;
    if (this.record !== null) this.record.bytesIn = this.bytesIn;
    this.release();
    return true;
  }
}
