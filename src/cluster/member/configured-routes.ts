/** Follows the routes that are configured for the whole cluster. */
import { parseRouteSettings, type RouteRecord, type RouteSettings } from '../../config/route-settings.ts';
import type { Log } from '../../log.ts';

export class ConfiguredRoutes {
  readonly #read: () => Promise<ReadonlyMap<string, RouteRecord>>;
  readonly #changed: (routes: ReadonlyMap<string, RouteSettings>) => void;
  readonly #log: Log;
  #text: string | null = null;
  #loading: Promise<void> | null = null;
  /** The read in progress may be older than the change that caused another call. */
  #isStale = false;

  /** `changed` is called with the whole set when it differs from the last one. */
  constructor(
    read: () => Promise<ReadonlyMap<string, RouteRecord>>,
    changed: (routes: ReadonlyMap<string, RouteSettings>) => void,
    log: Log,
  ) {
    this.#read = read;
    this.#changed = changed;
    this.#log = log;
  }

  /** Whether they have been read once. */
  get isLoaded(): boolean {
    return this.#text !== null;
  }

  /** Resolves when a read that began after the call is accepted. Rejects when reading fails; the routes then stay as they were. */
  load(): Promise<void> {
    this.#isStale = true;
    this.#loading ??= this.#loadAll().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #loadAll(): Promise<void> {
    while (this.#isStale) {
      this.#isStale = false;
      this.#accept(await this.#read());
    }
  }

  #accept(records: ReadonlyMap<string, RouteRecord>): void {
    const text = JSON.stringify([...records].sort(([a], [b]) => (a < b ? -1 : 1)));
    if (text === this.#text) return;
    this.#text = text;
    const routes = new Map<string, RouteSettings>();
    for (const [name, record] of records) {
      try {
        routes.set(name, parseRouteSettings(record));
      } catch (error) {
        // Written by hand, or by a newer version. Other routes must not suffer.
        this.#log.error({ err: error, route: name }, 'a configured route has invalid settings and is ignored');
      }
    }
    this.#changed(routes);
  }
}
