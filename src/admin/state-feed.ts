import type { ServerResponse } from 'node:http';
import { attempt, guard, unawaited } from '../boundary.ts';
import type { StateReader } from './state-reader.ts';

/** Each listener costs a socket and a copy of the state a second. */
export const LISTENERS_MAX = 64;
/** A listener that reads too slowly misses states; they do not pile up. */
const UNREAD_BYTES_MAX = 1024 * 1024;
/** A listener that misses this many states in a row is closed: it does not read. */
const MISSED_MAX = 10;

/** `/api/v1/events`: the state as server-sent events, once a second. Reads it only while there are listeners. */
export class StateFeed {
  readonly #reader: Pick<StateReader, 'read'>;
  readonly #everyMs: number;
  /** Each listener, and the states that it has missed in a row. */
  readonly #listeners = new Map<ServerResponse, number>();
  #timer: NodeJS.Timeout | null = null;
  #last = '';

  constructor(reader: Pick<StateReader, 'read'>, everyMs = 1000) {
    this.#reader = reader;
    this.#everyMs = everyMs;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** False when there are too many listeners; then `response` is untouched. */
  add(response: ServerResponse, headers: Readonly<Record<string, string>>): boolean {
    if (this.#listeners.size >= LISTENERS_MAX) return false;
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
    // How long a reader waits before it connects again.
    response.write('retry: 1000\n\n');
    this.#listeners.set(response, 0);
    const remove = guard('admin', () => this.#remove(response));
    response.once('close', remove);
    response.on('error', remove);
    if (this.#last !== '') response.write(this.#last);
    if (this.#timer === null) this.#next(0);
    return true;
  }

  close(): void {
    for (const response of this.#listeners.keys()) response.end();
    this.#listeners.clear();
    this.#rest();
  }

  #remove(response: ServerResponse): void {
    this.#listeners.delete(response);
    if (this.#listeners.size === 0) this.#rest();
  }

  #rest(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    // The next listener must not begin with an old state.
    this.#last = '';
  }

  #next(afterMs: number): void {
    const look = guard('timer', () => unawaited('timer', this.#look()));
    this.#timer = setTimeout(look, afterMs);
  }

  async #look(): Promise<void> {
    const mine = this.#timer;
    const state = await this.#reader.read().catch(() => null);
    if (this.#timer !== mine) return;
    // Silence shows that the directory does not answer; this comment line shows that the stream itself is alive.
    this.#last = state === null ? '' : `data: ${JSON.stringify(state)}\n\n`;
    for (const [response, missed] of this.#listeners) {
      const isRead = response.writableLength < UNREAD_BYTES_MAX;
      this.#listeners.set(response, isRead ? 0 : missed + 1);
      if (isRead) attempt('admin', () => response.write(this.#last || ':\n\n'));
      else if (missed >= MISSED_MAX) response.destroy();
    }
    this.#next(this.#everyMs);
  }
}
