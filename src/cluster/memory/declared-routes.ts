/** Declarations in memory, like those of redis/scripts, without the checks against foreign writers. */

import { canonicalRouteRecord, type RouteRecord } from '../../config/route-settings.ts';
import type { Pause } from '../cluster.ts';
import { DELETIONS_MAX, type Declaration, type DeclarationKind, type Declarations, type StoredDeclarations } from '../declarations.ts';
import { leftMsOf, PAUSED_ROUTES_MAX, readPause } from '../pauses.ts';
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
    for (const { kind, name, value } of this.#entries.values()) {
      if (kind === 'settings' && value !== null) routes.set(name, objectOf(value) ?? {});
    }
    return routes;
  }

  route(name: string): RouteRecord | null {
    return objectOf(this.#entries.get(keyOf('settings', name))?.value ?? null);
  }

  isKnown(name: string): boolean {
    return this.#entries.has(keyOf('settings', name));
  }

  /** False when that was declared already. */
  declare(name: string, settings: RouteRecord | null, now: number): boolean {
    const value = settings === null ? null : JSON.stringify(canonicalRouteRecord(settings));
    const before = this.#entries.get(keyOf('settings', name));
    if (before !== undefined && before.value === value) return false;
    this.#put('settings', name, value, this.#next(now));
    return true;
  }

  #put(kind: DeclarationKind, name: string, value: string | null, version: number): void {
    // The oldest come first.
    this.#entries.delete(keyOf(kind, name));
    this.#entries.set(keyOf(kind, name), { kind, name, value, version, isNew: this.#cluster === null });
    if (value === null) this.#prune();
  }

  pauses(now: number): ReadonlyMap<string, Pause> {
    const pauses = new Map<string, Pause>();
    for (const { kind, name, value } of this.#entries.values()) {
      const pause = kind === 'pauses' ? readPause(value) : null;
      if (pause !== null && leftMsOf(pause, now) > 0) pauses.set(name, pause);
    }
    return pauses;
  }

  pause(name: string, forMs: number, tunnels: Pause['tunnels'], now: number): Pause | null {
    const before = this.pauses(now).get(name);
    if (before === undefined && this.pauses(now).size >= PAUSED_ROUTES_MAX) return null;
    const id = this.#next(now);
    const at = Math.floor(now);
    const pause = { id, sinceMs: before?.sinceMs ?? at, untilMs: at + forMs, tunnels };
    this.#put('pauses', name, JSON.stringify(pause), id);
    return pause;
  }

  /** `onlyLapsed`: if its time is over. Returns whether it was paused. */
  resume(name: string, onlyLapsed: boolean, now: number): boolean {
    const runs = this.pauses(now).has(name);
    const stored = this.#entries.get(keyOf('pauses', name))?.value ?? null;
    if (stored === null || (onlyLapsed && runs)) return false;
    this.#put('pauses', name, null, this.#next(now));
    return runs;
  }

  read(now: number): StoredDeclarations {
    const all = [...this.#entries.values()].map(({ kind, name, value, version }) => ({ kind, name, value, version }));
    return { cluster: this.#cluster, highest: this.#highest, all, lost: [], now };
  }

  /** Returns how many were accepted, or -1: it belongs to another cluster. */
  restore(cluster: string, { cluster: before, highest, all }: Declarations, now: number): number {
    if (this.#cluster !== null && this.#cluster !== cluster) return -1;
    this.#highest = Math.max(this.#highest, highest);
    if (this.#cluster === null) {
      for (const entry of this.#entries.values()) {
        const version = entry.isNew && before !== null ? this.#next(now) : entry.version;
        this.#entries.set(keyOf(entry.kind, entry.name), { ...entry, version, isNew: false });
      }
    }
    this.#cluster = cluster;
    const taken = all.filter(({ kind, name, version }) => version > (this.#entries.get(keyOf(kind, name))?.version ?? 0));
    for (const one of taken) this.#entries.set(keyOf(one.kind, one.name), { ...one, isNew: false });
    return taken.length;
  }

  #next(now: number): number {
    this.#highest = Math.max(this.#highest + 1, Math.floor(now));
    return this.#highest;
  }

  #prune(): void {
    const deleted = [...this.#entries.values()].filter(({ value }) => value === null);
    for (const { kind, name } of deleted.slice(0, Math.max(0, deleted.length - DELETIONS_MAX))) this.#entries.delete(keyOf(kind, name));
  }
}

function keyOf(kind: DeclarationKind, name: string): string {
  return `${kind} ${name}`;
}
