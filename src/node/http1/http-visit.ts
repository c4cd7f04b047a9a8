import type { ClientLimits } from '../../config/listener-settings.ts';
import type { PullproxyError } from '../../errors.ts';
import type { RouteCounters } from '../matching/counters.ts';
import type { ClientWord } from '../matching/queue-rules.ts';
import type { RequestBuffers } from '../matching/request-buffers.ts';
import type { BrowserRequest, VisitRoute } from '../matching/visit.ts';
import { LiveVisit, type VisitEvents } from '../visits/live-visit.ts';
import { factsOf, type VisitFacts } from '../visits/visit-record.ts';
import { HeadWord } from './client-word.ts';
import type { RequestHead } from './head/request-head.ts';
import { NO_LIMITS, shortestMs, timeLeft, timeLimitsOf } from './head/time-limit.ts';
import { errorResponse, grpcDeadlineExceeded, type OwnResponse } from './own-responses.ts';
import { RequestPace } from './pace.ts';
import { isNavigation } from './waiting-page.ts';

const NOTHING: readonly string[] = [];

/** The request's calls to the node. */
export interface HttpVisitEvents extends VisitEvents {
  readonly limits: ClientLimits;
  /** Counts the responses to requests that belong to no route. */
  readonly unrouted: RouteCounters;
}

/** A body that is awaited before its request may have a slot. */
interface Collection {
  readonly buffers: RequestBuffers;
  readonly collected: () => void;
}

/** A visit that begins with a request of HTTP. */
export abstract class HttpVisit<
  Head extends RequestHead = RequestHead,
  Events extends HttpVisitEvents = HttpVisitEvents,
> extends LiveVisit<Events> {
  readonly head: Head;
  /** While the client's body is awaited. */
  protected pace: RequestPace | null = null;
  /** A 100 (Continue) was said here: the application's is one too many. */
  protected saidContinue = false;
  #collection: Collection | null = null;
  #hasCollected = false;
  #limits = NO_LIMITS;

  constructor(head: Head, events: Events) {
    super(events);
    this.head = head;
    this.bytesIn = this.heldBytes = head.byteLength;
  }

  /** The client has sent all of its request. */
  abstract get requestComplete(): boolean;
  /** The client may ask again on its connection after a response of pullproxy's own. */
  protected abstract get keepsClient(): boolean;
  /** Says one of pullproxy's own responses, the last word of this visit. */
  protected abstract say(response: OwnResponse): void;
  /** Its body is collected from now on. `saysContinue`: the client waits for a 100 (Continue). */
  protected abstract collects(saysContinue: boolean): void;

  /** Header lines of every response. */
  protected get addedLines(): string {
    return '';
  }

  /** Header lines of the response of that instance; empty: none. */
  protected affinityLine(instance: string): string {
    return this.route?.affinity?.cookieLine(this.affinity, instance, this.head.proto === 'https') ?? '';
  }

  /** Before it is admitted: its application is asked for what comes behind `prefix`. */
  stripPrefix(prefix: string): void {
    const before = this.head.byteLength;
    this.head.stripPrefix(prefix);
    const grown = this.head.byteLength - before;
    this.bytesIn += grown;
    this.heldBytes += grown;
  }

  override admitted(route: VisitRoute): void {
    super.admitted(route);
    if (this.deadlineAt === null && (this.head.saysGrpcTimeout || route.deadlineHeader !== null)) this.#limitTime(route.deadlineHeader);
    this.quiet = route.sleepRules?.match(this.head) === true;
  }

  /** It may be admitted twice, and its time begins with its head. */
  #limitTime(header: string | null): void {
    this.#limits = timeLimitsOf(this.head, header);
    if (this.#limits.length === 0) return;
    this.deadlineAt = this.arrivedAt + shortestMs(this.#limits);
  }

  /** The fields that tell the application how much time is left: names and values that replace those that came. */
  protected get timeLeft(): readonly string[] {
    if (this.#limits.length === 0 || this.deadlineAt === null) return NOTHING;
    return timeLeft(this.#limits, performance.now() - this.deadlineAt + shortestMs(this.#limits));
  }

  override get word(): ClientWord {
    return new HeadWord(this.head);
  }

  /** HTTP/1.0 knows no interim responses (RFC 9110 section 15.2). */
  override get takesSignals(): boolean {
    return !this.head.http10;
  }

  override get browser(): BrowserRequest | null {
    return isNavigation(this.head) ? this.head : null;
  }

  override get facts(): VisitFacts {
    return factsOf(this.head);
  }

  protected override get clientText(): string {
    return this.head.origin.text;
  }

  protected override get isSafe(): boolean {
    return this.head.idempotent;
  }

  protected newPace(awaitsContinue: boolean): RequestPace {
    return new RequestPace(this.events.limits, performance.now(), awaitsContinue);
  }

  bodyTooSlow(): void {
    this.blame('c', 'client_stalled');
    this.breakOff('head_timeout', 'the request body came too slowly');
  }

  // ── its body, before it has a slot ──

  protected get bodyBytes(): number {
    return this.bytesIn - this.head.byteLength;
  }

  protected get isCollecting(): boolean {
    return this.#collection !== null;
  }

  override collectBody(buffers: RequestBuffers, collected: () => void): boolean {
    if (this.requestComplete || this.#hasCollected || this.bodyBytes >= buffers.bytesMax || !buffers.begin(this)) return false;
    this.#collection = { buffers, collected };
    this.#hasCollected = true;
    this.pace = this.newPace(false);
    this.saidContinue = this.bodyBytes === 0 && this.head.mayAwaitContinue;
    this.collects(this.saidContinue);
    return true;
  }

  /** So many bytes more are kept. False: nothing more is to be read. */
  protected keep(bytes: number): boolean {
    if (this.#collection === null) return this.grow(bytes);
    this.heldBytes += bytes;
    return this.#collection.buffers.keep(bytes);
  }

  /** More of its body is there. `hasRoom`: more of it may be awaited. */
  protected collected(hasRoom: boolean): void {
    const bytesMax = this.#collection?.buffers.bytesMax ?? 0;
    if (!hasRoom || this.requestComplete || this.bodyBytes >= bytesMax) this.stopCollecting();
  }

  /** The request takes its place in the queue and its hold begins: requests whose bodies are there do not wait for it. */
  stopCollecting(): void {
    const collection = this.#collection;
    this.#endCollecting();
    this.arrivedAt = performance.now();
    collection?.collected();
  }

  #endCollecting(): void {
    this.#collection?.buffers.end(this);
    this.#collection = null;
    this.pace = null;
  }

  // ── its end ──

  override refuse(error: PullproxyError): void {
    if (this.isOver) return;
    const isGrpcDeadline = error.code === 'deadline' && this.head.version === '2.0' && this.head.isGrpc;
    const response = isGrpcDeadline
      ? grpcDeadlineExceeded(error, this.addedLines)
      : errorResponse(error, this.head.method, this.keepsClient, this.head.http10, this.addedLines);
    this.answered(error.kind.status);
    this.responded();
    this.failed(error.code, response.text.length);
    this.say(response);
  }

  /** The status that the client got, or would have got. */
  protected answered(status: number): void {
    (this.route?.counters ?? this.events.unrouted).answered(status);
    this.record?.answered(status);
  }

  /** The client has the whole response. */
  protected responded(): void {
    const { route } = this;
    if (route === null) return;
    const now = performance.now();
    route.counters.requests.observe((now - this.arrivedAt) / 1_000);
    if (this.hasBegun) route.waits.took(now, now - Math.max(this.arrivedAt, this.slotAt ?? 0));
  }

  protected override release(): void {
    this.#endCollecting();
    if (this.place !== null && this.place !== 'taken') this.place.release(this.place.isUsedUp);
  }
}
