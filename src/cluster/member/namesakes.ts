import type { Log } from '../../log.ts';

/** It is said again while it lasts. */
const SAID_MS = 30_000;

/** Two nodes with the same id contradict each other; only an operator can change that. */
export class Namesakes {
  readonly #id: string;
  readonly #log: Log;
  /** The start time of another node with this id. */
  #startedMs: number | null = null;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(id: string, log: Log) {
    this.#id = id;
    this.#log = log;
  }

  /** Another process that started then sends beats with this node's id. */
  note(startedMs: number): void {
    if (this.#startedMs === startedMs && performance.now() - this.#saidAt < SAID_MS) return;
    this.#startedMs = startedMs;
    this.#saidAt = performance.now();
    const about = { id: this.#id, started: new Date(startedMs).toISOString() };
    this.#log.error(about, 'another node has the id of this one: give each node its own (--id)');
  }
}
