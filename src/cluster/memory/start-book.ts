/** A route's starts in memory: those in progress, when they began, wanted instances, and the last failures. */
import {
  BEGUN_LIVES_MS,
  FAILURES_MAX,
  MINUTE_MS,
  REASON_CHARS_MAX,
  RESTART_LIVES_MS,
  RETRY_FIRST_MS,
  RETRY_LAST_MS,
  WANTED_LIVES_MS,
} from '../start-limits.ts';
import type { StartFacts, StartFailure, StartPlan, StartTimes, StartTrouble } from '../starts.ts';
import { EndedStarts } from './ended-starts.ts';

/** All fields are undefined while the last start has succeeded. */
interface Failures {
  count: number;
  reason: string;
  at: number;
  pauses: number;
  retryAt: number;
  /** An instance has answered since. */
  doubted: boolean;
}

export class StartBook {
  readonly ended = new EndedStarts();
  /** Start id → when the start counts as failed. */
  readonly #starting = new Map<string, number>();
  /** Oldest first. */
  readonly #begun = new Map<string, { readonly at: number; readonly jobAt: number }>();
  #begunEver = 0;
  #wanted = 0;
  #wantedUntil = Number.NEGATIVE_INFINITY;
  #restart = { seq: 0, until: Number.NEGATIVE_INFINITY };
  #failures: Failures | null = null;

  get size(): number {
    return this.#starting.size;
  }

  get begunEver(): number {
    return this.#begunEver;
  }

  isEmpty(): boolean {
    return this.#starting.size === 0 && this.#begunEver === 0 && this.#failures === null && this.#wanted === 0 && this.ended.size === 0;
  }

  /** Returns whether any start has failed by its time. */
  tend(now: number): boolean {
    const before = this.#starting.size;
    for (const [id, until] of this.#starting) {
      if (until > now) continue;
      this.#starting.delete(id);
      this.ended.add(id, 'not_linked', now);
      this.fail(now, `start ${id} did not become an instance in time`);
    }
    return this.#starting.size < before;
  }

  begin(now: number, startIds: readonly string[], timeoutMs: number, { wanted = 0, jobAgeMs = 0 }: StartFacts): void {
    for (const [id, { at }] of this.#begun) if (at <= now - BEGUN_LIVES_MS) this.#begun.delete(id);
    for (const id of startIds) {
      this.#starting.set(id, now + timeoutMs);
      this.#begun.delete(id);
      this.#begun.set(id, { at: now, jobAt: now - jobAgeMs });
    }
    this.#begunEver += startIds.length;
    this.#wanted = Math.max(0, this.#wanted - wanted);
  }

  /** How long ago the last `count` starts began, oldest first. */
  lastAges(now: number, count: number): number[] {
    return count === 0 ? [] : [...this.#begun.values()].slice(-count).map(({ at }) => Math.max(0, now - at));
  }

  end(now: number, id: string, failure?: StartFailure): boolean {
    if (!this.#starting.delete(id)) return false;
    if (failure) {
      this.ended.add(id, 'command_failed', now);
      this.fail(now, failure.reason);
    }
    if (failure?.wantedAgain && this.#wantedUntil > now) this.#wanted += 1;
    return true;
  }

  /** The instance of this start has linked: as `endItsStart` in the script `beat`. Returns the start's id, or undefined when it is nobody's. */
  linked(startId: string | undefined, isNew: boolean): string | undefined {
    if (startId !== undefined && this.#starting.delete(startId)) return startId;
    if (!isNew) return undefined;
    const possible = this.#oldestFirst().filter((start) => startId === undefined || start.includes(':'));
    const start = possible.find((one) => one.includes(':') && one.split(':')[0] === startId) ?? possible[0];
    if (start !== undefined) this.#starting.delete(start);
    return start;
  }

  /** The oldest start's place is taken by another instance. */
  endOldest(): void {
    const [oldest] = this.#oldestFirst();
    if (oldest !== undefined) this.#starting.delete(oldest);
  }

  /** In Redis' order: by when they are given up, then by their id. */
  #oldestFirst(): string[] {
    const order = ([a, untilA]: [string, number], [b, untilB]: [string, number]): number => untilA - untilB || (a < b ? -1 : 1);
    return [...this.#starting].sort(order).map(([id]) => id);
  }

  /** From `FAILURES_MAX` failures on, the next start waits. */
  fail(now: number, reason: string): void {
    const { count = 0, pauses = 0, retryAt = 0 } = this.#failures ?? {};
    this.#failures = { count: count + 1, reason: reason.slice(0, REASON_CHARS_MAX), at: now, pauses, retryAt, doubted: false };
    if (count + 1 < FAILURES_MAX || retryAt > now) return;
    this.#failures.pauses += 1;
    this.#failures.retryAt = now + Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** pauses);
  }

  /** More is known of the failure that was counted last. */
  explain(reason: string): void {
    if (this.#failures !== null) this.#failures.reason = reason.slice(0, REASON_CHARS_MAX);
  }

  /** As in the script `_route`: an instance has answered for the first time. */
  answers(): void {
    if (this.#failures !== null) this.#failures = { ...this.#failures, doubted: true, retryAt: 0 };
  }

  succeeded(): void {
    this.#failures = null;
  }

  want(now: number, count: number): void {
    this.#wanted = (this.#wantedUntil > now ? this.#wanted : 0) + count;
    this.#wantedUntil = now + WANTED_LIVES_MS;
  }

  restart(now: number, newestSeq: number): void {
    this.#restart = { seq: newestSeq, until: now + RESTART_LIVES_MS };
  }

  /** Whether an instance is to be replaced. */
  isOld(now: number, seq: number): boolean {
    return this.#restart.until > now && seq <= this.#restart.seq;
  }

  retryInMs(now: number): number {
    return Math.max(0, Math.ceil((this.#failures?.retryAt ?? 0) - now));
  }

  trouble(now: number): StartTrouble | null {
    const failures = this.#failures;
    if (failures === null || failures.doubted) return null;
    return { failures: failures.count, reason: failures.reason, ageMs: Math.round(now - failures.at), retryInMs: this.retryInMs(now) };
  }

  times(now: number, id: string): StartTimes | null {
    const begun = this.#begun.get(id);
    return begun === undefined ? null : { jobAgeMs: now - begun.jobAt, commandAgeMs: now - begun.at };
  }

  plan(now: number): Pick<StartPlan, 'begun' | 'lastBegunMs' | 'begunInMinute' | 'oldestBegunMs' | 'wanted' | 'trouble'> {
    const ages = [...this.#begun.values()].map(({ at }) => Math.round(now - at)).filter((age) => age < MINUTE_MS);
    return {
      begun: this.#begunEver,
      lastBegunMs: ages.at(-1) ?? null,
      begunInMinute: ages.length,
      oldestBegunMs: ages[0] ?? null,
      wanted: this.#wantedUntil > now ? this.#wanted : 0,
      trouble: this.trouble(now),
    };
  }

  /** Start id, ms until it counts as failed, and ms since it began. */
  left(now: number): (readonly [id: string, leftMs: number, ageMs: number | null])[] {
    const ageOf = (id: string): number | null => {
      const begun = this.#begun.get(id);
      return begun === undefined ? null : now - begun.at;
    };
    return [...this.#starting].map(([id, until]) => [id, until - now, ageOf(id)] as const);
  }
}
