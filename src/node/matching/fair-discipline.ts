import { guard } from '../../boundary.ts';
import { type Ask, FairOrder, type LineTag, OVERDUE, PLAIN_ASK, type Place, type Rank } from '../../cluster/fair-order.ts';
import type { QueueDiscipline } from './queue-discipline.ts';

/** A held client with what it asks for. */
interface Asking<T> {
  ask: Ask | null;
  readonly arrivedAt: number;
  readonly newer: T | null;
}

/** The order of `fair-order.ts` among the clients that are held at this node; the directory tells what other nodes have served. */
export class FairDiscipline<T extends Asking<T>> implements QueueDiscipline<T> {
  readonly #order = new FairOrder<T>(() => false);
  readonly #places = new Map<T, Place<T>>();
  readonly #priorityWaitMs: number;
  readonly #overdue: (entry: T) => void;
  /** The oldest that has not waited for `priorityWait`. */
  #patient: T | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** The directory has told the tags of lines that are here. */
  #isTold = false;

  /** `overdue`: the client has waited for `priorityWaitMs`, and has another ask from now on. Infinity: none ever has. */
  constructor(priorityWaitMs: number, overdue: (entry: T) => void) {
    this.#priorityWaitMs = priorityWaitMs;
    this.#overdue = overdue;
  }

  entered(entry: T): void {
    this.#places.set(entry, this.#order.enter(entry, entry.arrivedAt, entry.ask ?? PLAIN_ASK));
    if (this.#priorityWaitMs === Number.POSITIVE_INFINITY) return;
    if (this.#patient === null || entry.arrivedAt < this.#patient.arrivedAt) {
      // It comes back with its age, and its time is up before that of the others.
      this.#patient = entry;
      this.#disarm();
    }
    this.#arm();
  }

  left(entry: T): void {
    const place = this.#places.get(entry);
    if (place === undefined) return;
    this.#places.delete(entry);
    this.#order.leave(place);
    if (this.#patient === entry) this.#patient = entry.newer;
    if (this.#order.size === 0) this.#clear();
  }

  served(entry: T): void {
    const place = this.#places.get(entry);
    if (place !== undefined) this.#order.serve(place);
  }

  next(): T | null {
    return this.#order.first?.client ?? null;
  }

  ahead(entry: T): number | null {
    const place = this.#places.get(entry);
    return place === undefined ? null : this.#order.ahead(place);
  }

  lessUrgent(urgency: number): T | null {
    return this.#order.lessUrgent(urgency)?.client ?? null;
  }

  /** For a comparison with clients of other nodes. */
  rankOf(entry: T): Rank {
    const place = this.#places.get(entry);
    if (place !== undefined && this.#isTold) return this.#order.rankOf(place);
    const { urgency, value } = entry.ask ?? PLAIN_ASK;
    return { urgency, value, tag: null };
  }

  learn(tags: readonly LineTag[], since: (key: string) => number): void {
    for (const tag of tags) this.#order.learn(tag, since(tag.key));
    this.#isTold = this.#order.size > 0;
  }

  #clear(): void {
    this.#order.clear();
    this.#isTold = false;
    this.#patient = null;
    this.#disarm();
  }

  #disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #arm(): void {
    if (this.#timer !== null || this.#patient === null) return;
    const dueMs = this.#patient.arrivedAt + this.#priorityWaitMs - performance.now();
    this.#timer = setTimeout(this.#promote, Math.max(1, dueMs));
  }

  readonly #promote = guard('timer', (): void => {
    this.#timer = null;
    const due = performance.now() - this.#priorityWaitMs;
    for (let entry = this.#patient; entry !== null && entry.arrivedAt <= due; entry = this.#patient) {
      this.#patient = entry.newer;
      const ask = entry.ask ?? PLAIN_ASK;
      const place = this.#places.get(entry);
      if (place === undefined || ask.value === OVERDUE) continue;
      this.#order.leave(place);
      entry.ask = { urgency: 0, value: OVERDUE, unit: ask.unit === 0 ? 0 : ask.cost, cost: ask.cost };
      this.#places.set(entry, this.#order.enter(entry, entry.arrivedAt, entry.ask));
      this.#overdue(entry);
    }
    this.#arm();
  });
}
