/** Declarations in memory, like those of redis/scripts, without the checks against foreign writers. */
import { canonicalRouteRecord, type RouteRecord } from '../../config/route-settings.ts';
import { DELETIONS_MAX, type Declaration, type Declarations, type StoredDeclarations } from '../declarations.ts';
import { objectOf } from '../values.ts';

interface Entry extends Declaration {
  /** Declared before the directory had the name of its cluster: newer than what a node brings back. */
  readonly isNew: boolean;
}

export class DeclaredRoutes {
  #cluster: string | null = null;
  #highest = 0;
  readonly #entries = new Map<string, Entry>();

  routes(): ReadonlyMap<string, RouteRecord> {
    const routes = new Map<string, RouteRecord>();
    for (const { name, value } of this.#entries.values()) if (value !== null) routes.set(name, objectOf(value) ?? {});
    return routes;
  }

  route(name: string): RouteRecord | null {
    return objectOf(this.#entries.get(name)?.value ?? null);
  }

  isKnown(name: string): boolean {
    return this.#entries.has(name);
  }

  /** False when that was declared already. */
  declare(name: string, settings: RouteRecord | null, now: number): boolean {
    const value = settings === null ? null : JSON.stringify(canonicalRouteRecord(settings));
    const before = this.#entries.get(name);
    if (before !== undefined && before.value === value) return false;
    // The oldest come first.
    this.#entries.delete(name);
    this.#entries.set(name, { kind: 'settings', name, value, version: this.#next(now), isNew: this.#cluster === null });
    if (value === null) this.#prune();
    return true;
  }

  read(): StoredDeclarations {
    const all = [...this.#entries.values()].map(({ kind, name, value, version }) => ({ kind, name, value, version }));
    return { cluster: this.#cluster, highest: this.#highest, all, lost: [] };
  }

  /** Returns how many were accepted, or -1: it belongs to another cluster. */
  restore(cluster: string, { cluster: before, highest, all }: Declarations, now: number): number {
    if (this.#cluster !== null && this.#cluster !== cluster) return -1;
    this.#highest = Math.max(this.#highest, highest);
    if (this.#cluster === null) {
      for (const entry of this.#entries.values()) {
        const version = entry.isNew && before !== null ? this.#next(now) : entry.version;
        this.#entries.set(entry.name, { ...entry, version, isNew: false });
      }
    }
    this.#cluster = cluster;
    const taken = all.filter(({ name, version }) => version > (this.#entries.get(name)?.version ?? 0));
    for (const one of taken) this.#entries.set(one.name, { ...one, isNew: false });
    return taken.length;
  }

  #next(now: number): number {
    this.#highest = Math.max(this.#highest + 1, Math.floor(now));
    return this.#highest;
  }

  #prune(): void {
    const deleted = [...this.#entries.values()].filter(({ value }) => value === null);
    for (const { name } of deleted.slice(0, Math.max(0, deleted.length - DELETIONS_MAX))) this.#entries.delete(name);
  }
}
