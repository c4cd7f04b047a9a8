import type { PullproxyError } from '../../errors.ts';
import { BoundedMap } from '../../memory/bounded-map.ts';
import type { LiveVisit } from './live-visit.ts';
import { type Handoff, type RecordSurroundings, VisitRecord, type VisitWatcher } from './visit-record.ts';

export type { VisitWatcher };

/** Routes of which announced slots are remembered. Beyond it the one that was announced longest ago is forgotten. */
const HANDOFF_ROUTES_MAX = 1_000;

/** Makes a record of each visit, for access log and traces. Without these a node has no records. */
export class VisitWatchers implements RecordSurroundings {
  readonly watchers: readonly VisitWatcher[];
  isStopping = false;
  /** Route → slots on their way here. */
  readonly #coming = new BoundedMap<string, { readonly handoff: Handoff; count: number }>(HANDOFF_ROUTES_MAX);

  constructor(watchers: readonly VisitWatcher[]) {
    this.watchers = watchers;
  }

  /** `host`: what the visit asks for. Once per visit. */
  begin(visit: LiveVisit, host: string): void {
    visit.record ??= new VisitRecord(visit.facts, host, visit.arrivedAt, this);
  }

  /** A request that could not be read. */
  turnedAway(error: PullproxyError, protocol: string, client: string): void {
    const facts = { protocol, client, head: null };
    const record = new VisitRecord(facts, '', performance.now(), this);
    record.answered(error.kind.status);
    record.failed(error.code, 0);
  }

  /** `node` sends `count` slots of the route here. */
  coming(route: string, count: number, node: string): void {
    this.#coming.set(route, { handoff: { node, from: performance.now() }, count });
  }

  takeHandoff(route: string): Handoff | null {
    const coming = this.#coming.get(route);
    if (coming === undefined) return null;
    if (--coming.count === 0) this.#coming.delete(route);
    return coming.handoff;
  }
}
