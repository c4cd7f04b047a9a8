/**
 * Keeps the routes that a source declares in the directory. A route that somebody else has set stays as it is: the operator's own word counts.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { unawaited } from '../boundary.ts';
import type { StartDirectory } from '../cluster/directory.ts';
import { checkMatch } from '../config/match-rules.ts';
import { canonicalRouteRecord, type RouteRecord } from '../config/route-settings.ts';
import { ConfigError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Problem } from './source.ts';

const AGAIN_MS = 1_000;
/** Somebody may set or delete one of the routes. */
const LOOK_AGAIN_MS = 15_000;
/** A container is replaced by removing it and making another one: its route stays meanwhile, and clients are held. */
export const GONE_MS = 10_000;

type Routes = ReadonlyMap<string, RouteRecord>;
export type RouteDirectory = Pick<StartDirectory, 'routes' | 'setRoute'>;

export interface RouteKeeperOptions {
  readonly directory: RouteDirectory;
  readonly log: Log;
  /** The routes that can't be set, and why. */
  readonly problems: (problems: readonly Problem[]) => void;
  readonly goneMs?: number;
}

export class RouteKeeper {
  readonly #options: RouteKeeperOptions;
  readonly #stopping = new AbortController();
  /** What was set last for each. */
  readonly #set = new Map<string, string>();
  /** Route → since when it is declared no longer. */
  readonly #gone = new Map<string, number>();
  #source: string | null = null;
  #declared: Routes = new Map();
  #working: Promise<void> | null = null;
  #changed = Promise.withResolvers<void>();

  constructor(options: RouteKeeperOptions) {
    this.#options = options;
  }

  /** From now on these are the routes of `source`. */
  declare(source: string, routes: Routes): void {
    this.#source = source;
    this.#declared = routes;
    this.#changed.resolve();
    this.#working ??= this.#work();
    unawaited('directory', this.#working);
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await this.#working;
  }

  async #work(): Promise<void> {
    const { signal } = this.#stopping;
    let complained = false;
    while (!signal.aborted) {
      this.#changed = Promise.withResolvers();
      let laterMs = LOOK_AGAIN_MS;
      try {
        laterMs = await this.#bringUpToDate();
        complained = false;
      } catch (error) {
        if (!complained) this.#options.log.warn({ reason: reasonOf(error) }, 'the discovered routes can not be set yet');
        complained = true;
        laterMs = AGAIN_MS;
      }
      const waited = new AbortController();
      const until = AbortSignal.any([signal, waited.signal]);
      await Promise.race([this.#changed.promise, delay(laterMs, undefined, { signal: until, ref: false }).catch(() => undefined)]);
      waited.abort();
    }
  }

  /** Returns when to look again. */
  async #bringUpToDate(): Promise<number> {
    const { directory } = this.#options;
    const source = this.#source;
    const declared = this.#declared;
    const stored = new Map(await directory.routes());
    const problems: Problem[] = [];
    // Routes that go first: what they match may belong to others by now.
    const laterMs = await this.#removeGone(stored, declared, source);
    for (const [route, record] of declared) {
      const before = stored.get(route);
      if (before !== undefined && before.source !== source) {
        problems.push({ route, text: othersWord(before.source) });
        this.#set.delete(route);
        continue;
      }
      const text = textOf(record);
      // What an operator changed meanwhile stays until the labels are others.
      if (before !== undefined && (this.#set.get(route) === text || textOf(before) === text)) {
        this.#set.set(route, text);
        continue;
      }
      try {
        checkMatch(route, record, stored);
        await directory.setRoute(route, canonicalRouteRecord(record));
        stored.set(route, record);
        this.#set.set(route, text);
        this.#options.log.info({ route, source }, 'a route was discovered');
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        problems.push({ route, text: error.problems.join('; ') });
      }
    }
    this.#options.problems(problems);
    return laterMs;
  }

  async #removeGone(stored: Map<string, RouteRecord>, declared: Routes, source: string | null): Promise<number> {
    const { directory, goneMs = GONE_MS, log } = this.#options;
    const now = performance.now();
    let laterMs = LOOK_AGAIN_MS;
    for (const route of declared.keys()) this.#gone.delete(route);
    for (const [route, record] of stored) {
      if (record.source !== source || declared.has(route)) continue;
      const since = this.#gone.get(route) ?? now;
      this.#gone.set(route, since);
      const leftMs = since + goneMs - now;
      if (leftMs > 0) {
        laterMs = Math.min(laterMs, leftMs);
        continue;
      }
      await directory.setRoute(route, null);
      stored.delete(route);
      this.#gone.delete(route);
      this.#set.delete(route);
      log.info({ route, source }, 'a discovered route is gone');
    }
    return laterMs;
  }
}

function othersWord(source: unknown): string {
  if (typeof source === 'string') return `it was declared by ${source} already: one source declares a route`;
  return 'an operator has set it: these settings count, and those that were discovered do not. Its instances are started and stopped all the same';
}

function textOf(record: RouteRecord): string {
  return JSON.stringify(Object.entries(canonicalRouteRecord(record)).sort(([a], [b]) => (a < b ? -1 : 1)));
}
