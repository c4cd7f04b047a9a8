import { type ClusterEvent, EVENTS_MAX, type EventLog, type NewEvent } from '../../events/event.ts';

/** The event log of a single process. */
export class MemoryEventLog implements EventLog {
  readonly #now: () => number;
  #events: ClusterEvent[] = [];
  #number = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  async append(events: readonly NewEvent[]): Promise<void> {
    for (const { lateMs, ...event } of events) {
      const ms = Math.floor(this.#now());
      this.#events.push({ ...event, id: `${ms}-${this.#number++}`, at: ms - lateMs });
    }
    if (this.#events.length > EVENTS_MAX) this.#events = this.#events.slice(-EVENTS_MAX);
  }

  async since(id: string | null, max: number): Promise<{ events: ClusterEvent[]; now: number }> {
    const from = id === null ? 0 : this.#events.findLastIndex((event) => event.id === id) + 1;
    return { events: this.#events.slice(from, from + max), now: Math.floor(this.#now()) };
  }
}
