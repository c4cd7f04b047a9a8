import type { Cluster } from '../../cluster/cluster.ts';
import type { Log } from '../../log.ts';

/** Hosts that are looked up in the directory at the same time; further ones are not found. */
const LOOKUPS_MAX = 1_000;

/** Asks the directory for what this node doesn't know: it may be served by a linker at another node. */
export class RouteLookup {
  readonly #cluster: Cluster;
  readonly #log: Log;
  #lookups = 0;

  constructor(cluster: Cluster, log: Log) {
    this.#cluster = cluster;
    this.#log = log;
  }

  /** False: a name that was not found may be there all the same, since the directory does not answer. */
  get isSure(): boolean {
    return this.#cluster.joined && this.#cluster.connected;
  }

  /** `names`: most specific first. Never rejects: without a response of the directory no route is found. */
  async find(names: readonly string[]): Promise<string | null> {
    if (this.#lookups >= LOOKUPS_MAX) return null;
    this.#lookups++;
    try {
      return await this.#cluster.linkedRoute(names);
    } catch (error) {
      this.#log.warn({ err: error, names }, 'could not look up a route');
      return null;
    } finally {
      this.#lookups--;
    }
  }
}
