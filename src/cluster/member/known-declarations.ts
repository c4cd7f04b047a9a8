/** The declarations of operators that this node knows: read from the directory, kept here and in a file, and given back when the directory lost them. */

import { randomBytes } from 'node:crypto';
import type { RouteRecord } from '../../config/route-settings.ts';
import type { Log } from '../../log.ts';
import type { KnownPause, Pause } from '../cluster.ts';
import {
  DECLARATIONS_MAX,
  type Declaration,
  type DeclarationsFile,
  type DeclarationsKept,
  NAME_AFTER_MS,
  type StoredDeclarations,
} from '../declarations.ts';
import type { Directory } from '../directory.ts';
import { knownPauses, readPause } from '../pauses.ts';
import { objectOf } from '../values.ts';

const NAMES_SHOWN_MAX = 10;
const VALUE_CHARS_SHOWN_MAX = 300;
/** Between two checks another node may give something back. */
const ROUNDS_MAX = 3;

type Declaring = Pick<Directory, 'declarations' | 'restore' | 'setRoute' | 'setRouteOnce'>;

export class KnownDeclarations {
  readonly #directory: Declaring;
  readonly #asserted: ReadonlyMap<string, RouteRecord>;
  readonly #file: DeclarationsFile | null;
  readonly #log: Log;
  readonly #now: () => number;
  #cluster: string | null = null;
  #highest = 0;
  #known = new Map<string, Declaration>();
  /** Since when the directory has no name: monotonic ms. */
  #namelessSince: number | null = null;
  /** The paused routes at the last reading. */
  pauses: ReadonlyMap<string, KnownPause> = new Map();
  /** The last message about lost settings. */
  #lostSaid = '';

  /** `now`: monotonic ms. */
  constructor(directory: Declaring, { file, asserted }: DeclarationsKept, log: Log, now: () => number) {
    this.#directory = directory;
    this.#file = file ?? null;
    this.#asserted = asserted ?? new Map();
    this.#log = log;
    this.#now = now;
    const kept = this.#file?.read() ?? null;
    if (kept === null) return;
    this.#cluster = kept.cluster;
    this.#highest = kept.highest;
    for (const one of kept.all) this.#known.set(keyOf(one), one);
    // Until the directory answers this host's clock has to do.
    this.pauses = knownPauses(pausesOf(kept.all), Date.now());
  }

  /** The settings of routes, after this node and the directory have exchanged missing declarations. */
  async routes(): Promise<ReadonlyMap<string, RouteRecord>> {
    let stored = await this.#read();
    for (let round = 0; round < ROUNDS_MAX && (await this.#giveBack(stored)); round++) stored = await this.#read();
    if (await this.#assert(stored)) stored = await this.#read();
    this.#learn(stored);
    this.#sayLost(stored);
    this.pauses = knownPauses(pausesOf(stored.all), stored.now);
    return routesOf(stored.all);
  }

  async #read(): Promise<StoredDeclarations> {
    const stored = await this.#directory.declarations();
    if (stored.cluster !== null && this.#cluster !== null && stored.cluster !== this.#cluster) this.#leave(stored);
    return stored;
  }

  /** True when it changed the directory. The directory refuses declarations that are older than forgotten deletions. */
  async #giveBack(stored: StoredDeclarations): Promise<boolean> {
    const inDirectory = new Map(stored.all.map((one) => [keyOf(one), one.version]));
    const all = [...this.#known.values()].filter((one) => one.version > (inDirectory.get(keyOf(one)) ?? 0));
    const cluster = stored.cluster ?? this.#cluster ?? this.#newName(all.length > 0);
    if (cluster === null || (all.length === 0 && stored.cluster !== null)) return false;
    const isTaken = await this.#directory.restore(cluster, { cluster: this.#cluster, highest: this.#highest, all });
    if (isTaken && all.length > 0) {
      this.#log.warn({ cluster, count: all.length }, 'the directory had lost settings: they are restored');
    }
    return true;
  }

  /** True when it changed the directory. */
  async #assert({ all, lost }: StoredDeclarations): Promise<boolean> {
    if (this.#asserted.size === 0) return false;
    const known = new Set(all.filter(({ kind }) => kind === 'settings').map(({ name }) => name));
    const missing = [...this.#asserted].filter(([name]) => !known.has(name));
    for (const [name, record] of missing) {
      if (lost.some((one) => one.kind === 'settings' && one.name === name)) await this.#directory.setRoute(name, record);
      else await this.#directory.setRouteOnce(name, record);
    }
    return missing.length > 0;
  }

  /** A directory that no node with a memory has named for a while is a new one. */
  #newName(isNeeded: boolean): string | null {
    this.#namelessSince ??= this.#now();
    return isNeeded || this.#now() - this.#namelessSince >= NAME_AFTER_MS ? randomBytes(8).toString('hex') : null;
  }

  #learn({ cluster, highest, all }: StoredDeclarations): void {
    if (cluster !== null) this.#namelessSince = null;
    const known = new Map(all.slice(0, DECLARATIONS_MAX).map((one) => [keyOf(one), one]));
    const isSame =
      cluster === this.#cluster && known.size === this.#known.size && all.every((one) => isEqual(one, this.#known.get(keyOf(one))));
    this.#cluster = cluster ?? this.#cluster;
    this.#highest = Math.max(highest, this.#highest);
    this.#known = known;
    if (!isSame) this.#file?.save({ cluster: this.#cluster, highest: this.#highest, all: [...known.values()] });
  }

  /** Two clusters never mix: this node follows the one that the directory belongs to. */
  #leave(stored: StoredDeclarations): void {
    const there = new Map(stored.all.map((one) => [keyOf(one), one.value]));
    const missing = [...this.#known.values()].filter((one) => one.value !== null && there.get(keyOf(one)) !== one.value);
    const before = { cluster: this.#cluster, highest: this.#highest, all: [...this.#known.values()] };
    const file = this.#file?.putAside(before) ?? null;
    this.#cluster = null;
    this.#highest = 0;
    this.#known.clear();
    if (missing.length === 0) return;
    // Names only: a setting may contain a secret, and the log goes to many readers.
    const routes = missing.slice(0, NAMES_SHOWN_MAX).map(({ name }) => name);
    this.#log.error(
      { former: before.cluster, cluster: stored.cluster, count: missing.length, routes, ...(file === null ? {} : { file }) },
      'the directory belongs to another cluster: settings that this node knows are not in it',
    );
  }

  #sayLost({ lost }: StoredDeclarations): void {
    const names = lost.flatMap(({ kind, name }) => (kind === 'settings' ? [name] : [])).sort();
    const said = names.join(' ');
    if (names.length > 0) {
      this.#log.error({ count: names.length, routes: names.slice(0, NAMES_SHOWN_MAX) }, 'settings are lost: no node knows them any more');
    } else if (this.#lostSaid !== '') this.#log.info('no settings are lost any more');
    this.#lostSaid = said;
  }
}

function keyOf({ kind, name }: Pick<Declaration, 'kind' | 'name'>): string {
  return `${kind} ${name}`;
}

function isEqual(a: Declaration, b: Declaration | undefined): boolean {
  return b !== undefined && a.version === b.version && a.value === b.value;
}

/** A value that is not an object has no settings; it is shown as it is. */
function routesOf(all: readonly Declaration[]): ReadonlyMap<string, RouteRecord> {
  return new Map(
    all.flatMap(({ kind, name, value }) =>
      kind === 'settings' && value !== null ? [[name, objectOf(value) ?? { '': value.slice(0, VALUE_CHARS_SHOWN_MAX) }]] : [],
    ),
  );
}

function pausesOf(all: readonly Declaration[]): ReadonlyMap<string, Pause> {
  return new Map(
    all.flatMap(({ kind, name, value }): [string, Pause][] => {
      const pause = kind === 'pauses' ? readPause(value) : null;
      return pause === null ? [] : [[name, pause]];
    }),
  );
}
