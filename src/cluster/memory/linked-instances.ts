/** A route's instances in memory. */
import type { InstanceHome, InstanceInfo, InstanceSnapshot, InstanceState } from '../cluster.ts';
import type { RouteBeat, RouteBeatReply } from '../directory.ts';
import { READY_MAX } from '../limits.ts';
import { LOST_AFTER_MS, PROVED_AFTER_MS } from '../start-limits.ts';
import type { EndedStart } from '../starts.ts';

interface Linked {
  info: InstanceInfo;
  readonly node: string;
  /** When it was ready first; null: not yet. */
  readonly readyAt: number | null;
  proved: boolean;
  failed: boolean;
  /** The start that it ended by linking. */
  readonly start: string | undefined;
  /** How that start ended has been said. */
  settled: boolean;
}

/** The judgement on an instance's start by its last report: starts work, this one failed, or nothing. */
export type StartVerdict = { readonly good: true } | { readonly failure: string; readonly isNew: boolean } | null;

const GOOD: StartVerdict = { good: true };

export class LinkedInstances {
  readonly #instances = new Map<string, Linked>();
  /** How a start ended; after `delayMs` what is left of it may be cleaned up. */
  readonly #said: (startId: string, how: EndedStart['how'], delayMs: number) => void;

  constructor(said: (startId: string, how: EndedStart['how'], delayMs: number) => void) {
    this.#said = said;
  }

  get size(): number {
    return this.#instances.size;
  }

  /** The part of a beat's reply that not everybody wants. */
  asked({ asksLargest, asksReady }: RouteBeat, isReplaced: (seq: number) => boolean): Pick<RouteBeatReply, 'largest' | 'ready'> {
    return {
      ...(asksLargest === true ? { largest: this.#largest } : {}),
      ...(asksReady === true ? { ready: this.#ready(isReplaced) } : {}),
    };
  }

  /** As many slots as one may have at most; null: none is there. */
  get #largest(): number | null {
    const most = [...this.#instances.values()].map(({ info }) => info.most ?? info.concurrency);
    return most.length === 0 ? null : Math.max(...most);
  }

  /** What of them other nodes should hear of, in one text. */
  get outline(): string {
    const all = [...this.#instances.values()];
    return all
      .map(({ node, info: { id, seq, state, concurrency, most } }) => `${id} ${node} ${seq} ${state} ${concurrency} ${most}`)
      .join();
  }

  homeOf(id: string): string | null {
    return this.#instances.get(id)?.node ?? null;
  }

  stateOf(id: string): InstanceInfo['state'] | null {
    return this.#instances.get(id)?.info.state ?? null;
  }

  seqOf(id: string): number {
    return this.#instances.get(id)?.info.seq ?? 0;
  }

  hasAnswered(id: string): boolean {
    return this.#instances.get(id)?.info.answered === true;
  }

  hasFailed(id: string): boolean {
    return this.#instances.get(id)?.failed === true;
  }

  /** `start`: the start that a new one belongs to; `settled`: how that ended has been said. */
  set(now: number, node: string, info: InstanceInfo, start?: string, settled = false): StartVerdict {
    const before = this.#instances.get(info.id);
    // Draining is final: a beat on its way when the instance was allowed to leave must not count it as ready again.
    const said = before?.info.state === 'draining' ? { ...info, state: 'draining' as const } : info;
    const readyAt = before?.readyAt ?? (said.state === 'ready' || said.state === 'paused' ? now : null);
    const { proved = false, failed = false } = before ?? {};
    const linked: Linked = {
      info: said,
      node,
      readyAt,
      proved,
      failed,
      start: before?.start ?? start,
      settled: before?.settled ?? settled,
    };
    this.#instances.set(info.id, linked);
    if (said.state !== 'draining' || before === undefined || before.info.state === 'draining') return this.#live(now, linked);
    return this.#ends(now, linked, said.failure);
  }

  /** It has not changed. */
  unchanged(now: number, id: string): StartVerdict {
    const linked = this.#instances.get(id);
    return linked === undefined ? null : this.#live(now, linked);
  }

  /** Its home says that it is gone. Without a reason, its linker was killed, or its machine was lost. */
  delete(now: number, id: string): StartVerdict {
    const linked = this.#instances.get(id);
    this.#instances.delete(id);
    if (linked === undefined || linked.info.state === 'draining') return null;
    // An instance that was ready may also be starting, when its application does not accept for a while.
    if (linked.readyAt === null) return this.#ends(now, linked, undefined, LOST_AFTER_MS);
    // One that has answered may have lost only its link.
    const says = hasProved(now, linked) || linked.info.answered !== true;
    const verdict = says ? this.#ends(now, linked, 'its linker is gone', LOST_AFTER_MS) : null;
    this.#lose(linked);
    return verdict;
  }

  /** Its start has failed in another way. */
  fail(id: string, reason: string): StartVerdict {
    const linked = this.#instances.get(id);
    return linked === undefined ? { failure: reason, isNew: true } : failOnce(linked, reason);
  }

  #live(now: number, linked: Linked): StartVerdict {
    const isProof = !linked.proved && hasProved(now, linked);
    if (isProof) linked.proved = true;
    const { info, readyAt, proved, failed } = linked;
    if (info.state !== 'draining' && readyAt !== null && (proved || info.answered === true)) this.#settle(linked, 'linked');
    return isProof && !failed ? GOOD : null;
  }

  /** It leaves, or is gone. */
  #ends(now: number, linked: Linked, why?: string, delayMs = 0): StartVerdict {
    if (linked.readyAt === null) {
      this.#settle(linked, 'ended_early', delayMs);
      return neverReady(linked, why);
    }
    const isGood = why === undefined || hasProved(now, linked);
    this.#settle(linked, isGood ? 'linked' : 'ended_early', delayMs);
    return ended(now, linked, why);
  }

  #settle(linked: Linked, how: EndedStart['how'], delayMs = 0): void {
    if (linked.start === undefined || linked.settled) return;
    linked.settled = true;
    this.#said(linked.start, how, delayMs);
  }

  #lose({ info: { startId, state } }: Linked): void {
    if (startId !== undefined && state !== 'draining') this.#said(startId, 'lost', LOST_AFTER_MS);
  }

  /** An instance of this start that does not leave. With `isReady`: and that is past its start. */
  hasStart(startId: string, isReady: boolean): boolean {
    const isThere = (state: InstanceState): boolean => state !== 'draining' && !(isReady && state === 'starting');
    return this.#infos().some((info) => info.startId === startId && isThere(info.state));
  }

  /** Returns whether any was there. */
  deleteNode(node: string): boolean {
    const before = this.#instances.size;
    for (const [id, instance] of this.#instances) {
      if (instance.node !== node) continue;
      this.#lose(instance);
      this.#instances.delete(id);
    }
    return this.#instances.size < before;
  }

  retire(now: number, node: string, id: string, minInstances: number): { readonly may: boolean; readonly verdict: StartVerdict } {
    const instance = this.#instances.get(id);
    if (instance === undefined || instance.node !== node) return { may: false, verdict: null };
    if (instance.info.state === 'draining') return { may: true, verdict: null };
    const remaining = this.count('ready') - (instance.info.state === 'ready' ? 1 : 0);
    if (remaining < minInstances) return { may: false, verdict: null };
    instance.info = { ...instance.info, state: 'draining' };
    // Also one that was never ready: it did not fail, it is not needed.
    this.#settle(instance, 'linked');
    return { may: true, verdict: ended(now, instance) };
  }

  count(...states: readonly InstanceInfo['state'][]): number {
    return this.#infos().filter(({ state }) => states.includes(state)).length;
  }

  countReady(matches: (seq: number) => boolean): number {
    return this.#infos().filter(({ state, seq }) => state === 'ready' && matches(seq)).length;
  }

  /** Counts instances that do not leave. */
  get seqs(): number[] {
    return this.#infos().flatMap(({ state, seq }) => (state === 'draining' ? [] : [seq]));
  }

  get slots(): number {
    return this.#infos().reduce((sum, info) => sum + (info.state === 'ready' ? info.concurrency : 0), 0);
  }

  get newest(): { readonly newest: string | null; readonly newestNode: string | null } {
    const newest = this.#readyOnes()[0];
    return { newest: newest?.info.id ?? null, newestNode: newest?.node ?? null };
  }

  /** Those that are to be replaced count as long as there are no others. */
  #ready(isReplaced: (seq: number) => boolean): InstanceHome[] {
    const all = this.#readyOnes();
    const others = all.filter(({ info }) => !isReplaced(info.seq));
    return (others.length === 0 ? all : others).slice(0, READY_MAX).map(({ info, node }) => ({ id: info.id, node }));
  }

  /** The newest one first. */
  #readyOnes(): Linked[] {
    const ready = [...this.#instances.values()].filter(({ info }) => info.state === 'ready');
    return ready.sort(({ info: a }, { info: b }) => b.seq - a.seq || (b.id > a.id ? 1 : -1));
  }

  snapshot(): InstanceSnapshot[] {
    const list = [...this.#instances.values()].map(({ info, node }): InstanceSnapshot => {
      const { id, seq, concurrency, setBy, active, state, version } = info;
      const by = setBy === undefined ? {} : { setBy };
      return { id, seq, concurrency, ...by, active, node, state, ...(version === undefined ? {} : { version }) };
    });
    return list.sort((a, b) => b.seq - a.seq);
  }

  #infos(): InstanceInfo[] {
    return [...this.#instances.values()].map(({ info }) => info);
  }
}

/** It has lived long enough for its end to be no failed start. */
function hasProved(now: number, { proved, readyAt }: Linked): boolean {
  return proved || (readyAt !== null && now - readyAt >= PROVED_AFTER_MS);
}

/** As in the script `_route`; `why`: how the application ended by itself. */
function ended(now: number, linked: Linked, why?: string): StartVerdict {
  const { info, readyAt, failed } = linked;
  if (hasProved(now, linked) || (info.answered === true && why === undefined)) return failed ? null : GOOD;
  if (why === undefined) return null;
  const ageMs = now - (readyAt ?? now);
  return failOnce(linked, `instance ${info.id} ended ${(ageMs / 1_000).toFixed(1)} s after it was ready: ${why}`);
}

function neverReady(linked: Linked, why?: string): StartVerdict {
  return failOnce(linked, `instance ${linked.info.id} ended before it was ready${why === undefined ? '' : `: ${why}`}`);
}

/** A start is counted once, however many of its faults are noticed, and the last one is shown. */
function failOnce(linked: Linked, failure: string): StartVerdict {
  const isNew = !linked.failed;
  linked.failed = true;
  return { failure, isNew };
}
