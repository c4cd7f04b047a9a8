/** The last events of the cluster, read once and then only what is new. */
import { type ClusterEvent, EVENTS_MAX } from '../events/event.ts';
import type { AdminSource } from './admin-source.ts';

/** Events that are kept to be shown. */
const KEPT_MAX = 2_000;
const PAGE_MAX = 1_000;

export interface EventsNow {
  readonly events: readonly ClusterEvent[];
  /** By the directory's clock. */
  readonly now: number;
}

export class EventHistory {
  readonly #source: Pick<AdminSource, 'events'>;
  #events: ClusterEvent[] = [];
  #last: string | null = null;
  #reading: Promise<EventsNow> | null = null;

  constructor(source: Pick<AdminSource, 'events'>) {
    this.#source = source;
  }

  /** A caller that asks while this read is under way gets the same response. */
  read(): Promise<EventsNow> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #read(): Promise<EventsNow> {
    for (let seen = 0; seen <= EVENTS_MAX; seen += PAGE_MAX) {
      const { events, now, isOwn } = await this.#source.events(this.#last, PAGE_MAX);
      // What this process could not tell yet has no place in the cluster's log.
      if (isOwn) return { events: [...this.#events, ...events], now };
      this.#last = events.at(-1)?.id ?? this.#last;
      this.#events = [...this.#events, ...events].slice(-KEPT_MAX);
      if (events.length < PAGE_MAX) return { events: this.#events, now };
    }
    return { events: this.#events, now: this.#events.at(-1)?.at ?? 0 };
  }
}
