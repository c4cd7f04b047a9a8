/** `/api/v1/events`: the state as server-sent events, once a second: whole states, or one and then its differences. It is read only while there are listeners. */
import type { AdminState } from './admin-state.ts';
import { advised, eventsAfter, type TimelineEvent } from './event-history.ts';
import { EventStreams } from './event-streams.ts';
import { stateDifference } from './state-difference.ts';
import type { StateReader } from './state-reader.ts';

/** Former states that are kept for listeners who read slowly: each of them costs a comparison a second. */
const KEPT_STATES_MAX = 3;

/** Events of the timeline that a new listener gets. */
const EVENTS_FIRST = 200;

/** The state that a listener has. */
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
  /** By their numbers: states that some listener has. */
  #kept: ReadonlyMap<number, AdminState> = new Map();
  /** From these states to the last one. */
  #differences: ReadonlyMap<number, Buffer> = new Map();
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
    const had = new Set(wanted.map((listener) => (listener.wants === 'differences' ? listener.state : 0)));
    const kept = [...this.#kept].filter(([number]) => had.has(number)).slice(-KEPT_STATES_MAX);
    const next = this.#number + 1;
    const differences = new Map<number, Buffer>();
    for (const [number, former] of kept) {
      differences.set(number, Buffer.from(written('difference', next, await stateDifference(number, former, state))));
    }
    this.#number = next;
    this.#differences = differences;
    this.#kept = new Map([...kept, [next, state]]);
    this.#last = new Written(state, next);
    if (wanted.length === 0) return;
    const { events, untold } = await this.#reader.events();
    this.#events = events.slice(-EVENTS_FIRST).map(advised);
    this.#untold = JSON.stringify(untold.map(advised));
  }

  protected override news(listener: StateListener): (string | Buffer)[] {
    if (this.#last === null) return [];
    if (listener.wants === 'states') return [this.#last.states];
    const pieces: (string | Buffer)[] = listener.state === this.#number ? [] : [this.#differences.get(listener.state) ?? this.#last.whole];
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
    this.#kept = new Map();
    this.#differences = new Map();
  }
}

function written(event: string, number: number, data: unknown): string {
  return `event: ${event}\nid: ${number}\ndata: ${JSON.stringify(data)}\n\n`;
}
