/** Responses without an end, as server-sent events. Their number is limited, and one that is read too slowly misses events: they do not pile up. */
import type { ServerResponse } from 'node:http';
import { attempt, guard, internalError, unawaited } from '../boundary.ts';

/** Each listener costs a socket, and bytes once a second. */
export const LISTENERS_MAX = 64;
/** While more is unread, nothing further is written. */
const UNREAD_BYTES_MAX = 1024 * 1024;
/** A listener that misses this many looks in a row is closed: it does not read. */
const MISSED_MAX = 10;

export abstract class EventStreams<Kept> {
  readonly #everyMs: number;
  /** Each listener: what is known of it, and how many looks it has missed in a row. */
  readonly #listeners = new Map<ServerResponse, { readonly kept: Kept; missed: number }>();
  #timer: NodeJS.Timeout | null = null;

  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** False when there are too many listeners; then `response` is untouched. */
  add(response: ServerResponse, headers: Readonly<Record<string, string>>, kept: Kept): boolean {
    if (this.#listeners.size >= LISTENERS_MAX) return false;
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
    // How long a reader waits before it connects again.
    response.write('retry: 1000\n\n');
    this.#listeners.set(response, { kept, missed: 0 });
    const remove = guard('admin', () => this.#remove(response));
    response.once('close', remove);
    response.on('error', remove);
    for (const piece of this.greet(kept)) response.write(piece);
    if (this.#timer === null) this.#next(0);
    return true;
  }

  close(): void {
    for (const response of this.#listeners.keys()) response.end();
    this.#listeners.clear();
    this.#rest();
  }

  /** The first message, which a new listener gets at once. */
  protected abstract greet(kept: Kept): (string | Buffer)[];
  /** Looks for something new, once a second while there are listeners. */
  protected abstract look(): Promise<void>;
  /** The news for a listener since its last message. Called only when it reads. */
  protected abstract news(kept: Kept): (string | Buffer)[];
  /** The last listener has left. */
  protected abstract rest(): void;

  protected get all(): Kept[] {
    return [...this.#listeners.values()].map(({ kept }) => kept);
  }

  #remove(response: ServerResponse): void {
    if (!this.#listeners.delete(response)) return;
    if (this.#listeners.size === 0) this.#rest();
  }

  #rest(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.rest();
  }

  #next(afterMs: number): void {
    const look = guard('timer', () => unawaited('timer', this.#look()));
    this.#timer = setTimeout(look, afterMs);
  }

  async #look(): Promise<void> {
    const mine = this.#timer;
    await this.look().catch((error: unknown) => internalError('admin', error));
    // Meanwhile all have left, and others may have come.
    if (this.#timer !== mine) return;
    for (const [response, listener] of this.#listeners) {
      const isRead = response.writableLength < UNREAD_BYTES_MAX;
      listener.missed = isRead ? 0 : listener.missed + 1;
      if (isRead) attempt('admin', () => this.#tell(response, listener.kept));
      else if (listener.missed > MISSED_MAX) response.destroy();
    }
    this.#next(this.#everyMs);
  }

  #tell(response: ServerResponse, kept: Kept): void {
    const news = this.news(kept);
    // A comment line shows that the stream itself is alive.
    if (news.length === 0) response.write(':\n\n');
    for (const piece of news) response.write(piece);
  }
}
