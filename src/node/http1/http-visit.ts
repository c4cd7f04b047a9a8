import type { ClientLimits } from '../../config/listener-settings.ts';
import type { PullproxyError } from '../../errors.ts';
import type { RouteCounters } from '../matching/counters.ts';
import type { BodyCollection } from '../matching/request-buffers.ts';
import { LiveVisit, type VisitEvents } from '../visits/live-visit.ts';
import { factsOf, type VisitFacts } from '../visits/visit-record.ts';
import type { RequestHead } from './head/request-head.ts';
import { errorResponse } from './own-responses.ts';
import { RequestPace } from './pace.ts';
import { isNavigation } from './waiting-page.ts';

/** What the node does about requests. */
export interface HttpVisitEvents extends VisitEvents {
  readonly limits: ClientLimits;
  /** Counts the answers to requests that belong to no route. */
  readonly unrouted: RouteCounters;
}

/** A visit that begins with a request of HTTP. */
export abstract class HttpVisit extends LiveVisit {
  readonly head: RequestHead;
  /** While its body is awaited before it may have a slot. */
  protected collecting: BodyCollection | null = null;
  /** While the client's body is awaited. */
  protected pace: RequestPace | null = null;
  protected readonly limits: ClientLimits;
  readonly #unrouted: RouteCounters;

  constructor(head: RequestHead, events: HttpVisitEvents) {
    super(events);
    this.head = head;
    this.bytesIn = this.heldBytes = head.bytes.length;
    this.limits = events.limits;
    this.#unrouted = events.unrouted;
  }

  /** The client sends all of its request whatever it is told, and may ask again on its connection. */
  protected abstract get keepsClient(): boolean;
  /** Says one of pullproxy's own answers, the last word of this visit. */
  protected abstract say(answer: Buffer): void;

  override get takesPage(): boolean {
    return isNavigation(this.head);
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

  /** Header lines of every answer. */
  protected get addedLines(): string {
    return '';
  }

  protected newPace(awaitsContinue: boolean): RequestPace {
    return new RequestPace(this.limits, performance.now(), awaitsContinue);
  }

  override refuse(error: PullproxyError): void {
    if (this.isOver) return;
    const answer = errorResponse(error, this.head.method, this.keepsClient, this.head.http10, this.addedLines);
    this.answered(error.kind.status);
    this.failed(error.code, answer.length);
    this.say(answer);
  }

  /** What the client was told, or would have been. */
  protected answered(status: number): void {
    (this.route?.counters ?? this.#unrouted).answered(status);
    this.record?.answered(status);
  }

  protected override release(): void {
    this.endCollecting();
  }

  protected endCollecting(): void {
    this.collecting?.end();
    this.collecting = null;
    this.pace = null;
  }
}
