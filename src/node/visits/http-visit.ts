import { performance } from 'node:perf_hooks';
import type { RequestHead } from '../http1/head/request-head.ts';
import type { RequestPace } from '../http1/pace.ts';
import { isNavigation } from '../http1/waiting-page.ts';
import type { BodyCollection } from './request-buffers.ts';
import { Visit } from './visit.ts';
import { factsOf, type VisitFacts } from './visit-record.ts';

/** A visit that begins with a request of HTTP. */
export abstract class HttpVisit extends Visit {
  readonly head: RequestHead;
  /** While its body is awaited before it may have a slot. */
  protected collecting: BodyCollection | null = null;
  /** While the client's body is awaited. */
  protected pace: RequestPace | null = null;

  constructor(head: RequestHead) {
    super(performance.now());
    this.head = head;
    this.heldBytes = head.bytes.length;
  }

  override get takesPage(): boolean {
    return isNavigation(this.head);
  }

  override get facts(): VisitFacts {
    return factsOf(this.head);
  }

  protected endCollecting(): void {
    this.collecting?.end();
    this.collecting = null;
    this.pace = null;
  }
}
