/** Follows the routes that are configured for the whole cluster. */
import { parseRouteSettings, type RouteRecord, type RouteSettings } from '../../config/route-settings.ts';
import type { Log } from '../../log.ts';

export class ConfiguredRoutes {
  readonly #read: () => Promise<ReadonlyMap<string, RouteRecord>>;
  readonly #changed: (routes: ReadonlyMap<string, RouteSettings>) => void;
  readonly #log: Log;
  #text: string | null = null;
  #loading: 'no' | 'yes' | 'again' = 'no';

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

  /** Rejects when reading fails; the routes then stay as they were. */
  async load(): Promise<void> {
    if (this.#loading !== 'no') {
      // The read in progress may be older than the change that caused this call.
      this.#loading = 'again';
      return;
    }
    try {
      do {
        this.#loading = 'yes';
        this.#accept(await this.#read());
      } while (this.#isStale());
    } finally {
      this.#loading = 'no';
    }
  }

  #isStale(): boolean {
    return this.#loading === 'again';
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
