/** `/api/v1/timeline?follow`: what happens, as server-sent events, as soon as it is known. */

import { advised, eventsAfter, type TimelineEvent } from './event-history.ts';
import { EventStreams } from './event-streams.ts';
import type { StateReader } from './state-reader.ts';

export interface TimelineListener {
  /** The id of the last event that it has; null: it begins with the oldest that is known. */
  event: string | null;
  readonly route: string | undefined;
  /** It gets so many at first. */
  readonly max: number;
  begun: boolean;
}

export class TimelineFeed extends EventStreams<TimelineListener> {
  readonly #reader: Pick<StateReader, 'events'>;
  #events: readonly TimelineEvent[] = [];

  constructor(reader: Pick<StateReader, 'events'>, everyMs = 1000) {
    super(everyMs);
    this.#reader = reader;
  }

  protected override greet(): string[] {
    return [];
  }

  protected override async look(): Promise<void> {
    this.#events = (await this.#reader.events()).events.map(advised);
  }

  protected override news(listener: TimelineListener): string[] {
    const all = eventsAfter(this.#events, listener.event);
    listener.event = all.at(-1)?.id ?? listener.event;
    const found = all.filter(({ route }) => listener.route === undefined || route === listener.route);
    const told = listener.begun ? found : found.slice(-listener.max);
    listener.begun = true;
    return told.map((event) => `id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`);
  }

  protected override rest(): void {
    this.#events = [];
  }
}
