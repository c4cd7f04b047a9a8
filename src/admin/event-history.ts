/** The last events of the cluster, read once and then only what is new. */
import { rowOfCode } from '../events/catalogue.ts';
import { type ClusterEvent, EVENTS_MAX } from '../events/event.ts';
import type { AdminSource } from './admin-source.ts';

/** Events that are kept to be shown. */
const KEPT_MAX = 2_000;
const PAGE_MAX = 1_000;

export interface EventsNow {
  readonly events: readonly ClusterEvent[];
  /** Events that this process could not tell the directory yet. These have no place in the log of the cluster, and will have other ids there. */
  readonly untold: readonly ClusterEvent[];
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
      if (isOwn) return { events: this.#events, untold: events, now };
      this.#last = events.at(-1)?.id ?? this.#last;
      this.#events = [...this.#events, ...events].slice(-KEPT_MAX);
      if (events.length < PAGE_MAX) return { events: this.#events, untold: [], now };
    }
    return { events: this.#events, untold: [], now: this.#events.at(-1)?.at ?? 0 };
  }
}

export type TimelineEvent = ClusterEvent & { readonly advice: string };

/** An event, and what to do about it. */
export function advised(event: ClusterEvent): TimelineEvent {
  return { ...event, advice: rowOfCode(event.code)?.advice ?? '' };
}

/** Those after the one with the id; null: all. */
export function eventsAfter<T extends ClusterEvent>(events: readonly T[], id: string | null): readonly T[] {
  return id === null ? events : events.slice(events.findLastIndex((event) => compareIds(event.id, id) <= 0) + 1);
}

function compareIds(a: string, b: string): number {
  const [[aMs = 0, aNumber = 0], [bMs = 0, bNumber = 0]] = [a.split('-').map(Number), b.split('-').map(Number)];
  return aMs - bMs || aNumber - bNumber;
}
