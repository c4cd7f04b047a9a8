/** `/api/v1/events`: the state as server-sent events, once a second: whole states, or one and then its differences. It is read only while there are listeners. */
import type { AdminState } from './admin-state.ts';
import { advised, eventsAfter, type TimelineEvent } from './event-history.ts';
import { EventStreams } from './event-streams.ts';
import { stateDifference } from './state-difference.ts';
import type { StateReader } from './state-reader.ts';

/** Events of the timeline that a new listener gets. */
const EVENTS_FIRST = 200;

/** What a listener has. */
export type StateListener =
  | { readonly wants: 'states' }
  | {
      readonly wants: 'differences';
      /** The number of the last state; 0: none. */
      state: number;
      /** The id of the last event of the timeline; null: none. */
      event: string | null;
      /** The events that a node could not tell the directory yet, as they were written last. */
      untold: string;
    };

/** A state, with what is written of it when somebody needs it. */
class Written {
  readonly state: AdminState;
  readonly number: number;
  #json = '';
  #states: Buffer | null = null;
  #whole: Buffer | null = null;

  constructor(state: AdminState, number: number) {
    this.state = state;
    this.number = number;
  }

  get states(): Buffer {
    this.#states ??= Buffer.from(`data: ${this.#text}\n\n`);
    return this.#states;
  }

  get whole(): Buffer {
    this.#whole ??= Buffer.from(`event: state\nid: ${this.number}\ndata: ${this.#text}\n\n`);
    return this.#whole;
  }

  get #text(): string {
    this.#json ||= JSON.stringify(this.state);
    return this.#json;
  }
}

export class StateFeed extends EventStreams<StateListener> {
  readonly #reader: Pick<StateReader, 'read' | 'events'>;
  #last: Written | null = null;
  /** From the state before to the last one; null: there was none. */
  #difference: Buffer | null = null;
  #number = 0;
  #events: readonly TimelineEvent[] = [];
  #untold = '';

  constructor(reader: Pick<StateReader, 'read' | 'events'>, everyMs = 1000) {
    super(everyMs);
    this.#reader = reader;
  }

  protected override greet(listener: StateListener): (string | Buffer)[] {
    return this.#last === null ? [] : this.news(listener);
  }

  protected override async look(): Promise<void> {
    const state = await this.#reader.read().catch(() => null);
    if (state === null) {
      // Silence shows that the directory does not answer.
      this.#last = null;
      return;
    }
    const wanted = this.all.filter((listener) => listener.wants === 'differences');
    const before = this.#last;
    const isWanted = before !== null && wanted.some((listener) => listener.state === before.number);
    const difference = isWanted ? await stateDifference(before.number, before.state, state) : null;
    this.#number++;
    this.#difference = difference === null ? null : Buffer.from(written('difference', this.#number, difference));
    this.#last = new Written(state, this.#number);
    if (wanted.length === 0) return;
    const { events, untold } = await this.#reader.events();
    this.#events = events.slice(-EVENTS_FIRST).map(advised);
    this.#untold = JSON.stringify(untold.map(advised));
  }

  protected override news(listener: StateListener): (string | Buffer)[] {
    if (this.#last === null) return [];
    if (listener.wants === 'states') return [this.#last.states];
    const isNext = listener.state === this.#number - 1 && this.#difference !== null;
    const pieces: (string | Buffer)[] =
      listener.state === this.#number ? [] : [isNext && this.#difference ? this.#difference : this.#last.whole];
    listener.state = this.#number;
    const events = eventsAfter(this.#events, listener.event);
    for (const event of events) pieces.push(`event: happened\ndata: ${JSON.stringify(event)}\n\n`);
    listener.event = events.at(-1)?.id ?? listener.event;
    if (this.#untold !== listener.untold) pieces.push(`event: untold\ndata: ${this.#untold}\n\n`);
    listener.untold = this.#untold;
    return pieces;
  }

  protected override rest(): void {
    // The next listener must not begin with an old state.
    this.#last = null;
    this.#difference = null;
  }
}

function written(event: string, number: number, data: unknown): string {
  return `event: ${event}\nid: ${number}\ndata: ${JSON.stringify(data)}\n\n`;
}
