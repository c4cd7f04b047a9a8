/**
 * One route of the directory in memory. Each public method is one transition and does what the Redis script of the same name does;
 * the contract tests compare the two. `now` is the directory's time in ms.
 */
import type { InstanceInfo, Peer, RouteSnapshot } from '../cluster.ts';
import type { HoldChange, HoldReply, Matched, Move, RouteBeat, RouteBeatReply, RouteRecord } from '../directory.ts';
import { PLAIN_ASK } from '../fair-order.ts';
import { PROMISE_HEARD_MS, PROMISE_MS, STARTS_SHOWN_MAX } from '../limits.ts';
import type { EndedStart, StartFacts, StartFailure, StartPlan, StartTimes } from '../starts.ts';
import { startsOf } from '../starts-shown.ts';
import { estimated, type Pace, type RouteSupply, START_AGES_MAX } from '../wait-estimate.ts';
import type { Measured } from '../waits.ts';
import { mostIdle, setCount, sum } from './counts.ts';
import { costOf, HeldClients } from './held-clients.ts';
import { LinkedInstances, type StartVerdict } from './linked-instances.ts';
import { Revision } from './revision.ts';
import { RouteNodes } from './route-nodes.ts';
import { StartBook } from './start-book.ts';
import { WaitBook } from './wait-book.ts';

export class RouteState {
  readonly #nodes = new RouteNodes();
  readonly #revision: Revision;
  readonly #held = new HeldClients();
  readonly #free = new Map<string, number>();
  readonly #serving = new Map<string, number>();
  readonly #starts = new StartBook();
  readonly #waits = new WaitBook();
  readonly #instances: LinkedInstances;
  #concurrency: number | null = null;
  /** The largest number of an instance so far. */
  #lastSeq = 0;
  #now = 0;

  constructor(now: number) {
    this.#revision = new Revision(now);
    this.#instances = new LinkedInstances((startId, how, delayMs) => this.#starts.ended.add(startId, how, this.#now + delayMs));
  }

  hold(now: number, node: Peer, change: HoldChange): HoldReply {
    const known = this.#enter(now, node, change.idle);
    if (change.serving !== undefined) setCount(this.#serving, node.id, change.serving);
    if (change.reset) this.#held.deleteNode(node.id);
    this.#held.tidy();
    const { lines = [] } = change;
    for (const { key, units } of lines) this.#held.charge(key, units);
    for (const id of change.remove) this.#held.delete(node.id, id);

    const refused: string[] = [];
    const putOut: { node: string; id: string }[] = [];
    for (const { id, ageMs, ask } of change.add) {
      if (ask !== undefined) this.#held.orderFairly();
      if (this.#held.has(node.id, id)) continue;
      const isFull = change.maxHeld !== null && this.#held.size >= change.maxHeld;
      const other = isFull ? this.#held.lessUrgent((ask ?? PLAIN_ASK).urgency) : null;
      if (isFull && other === null) {
        refused.push(id);
        continue;
      }
      if (other !== null) {
        this.#held.delete(other.node, other.id);
        putOut.push({ node: other.node, id: other.id });
      }
      this.#held.add({ node: node.id, id, arrival: now - ageMs, ask });
    }
    for (const id of change.gathers ?? []) this.#held.gathers(node.id, id, now + PROMISE_MS);
    this.#held.tidy();
    const found = this.#search(now, node.id, known, null);
    if (this.#held.count(node.id) > 0) this.#revision.moveAgain(now);
    return { ...found, refused, ...(this.#held.isFair ? { tags: this.#held.tags(lines, node.id), putOut } : {}) };
  }

  offer(now: number, node: Peer, idle: number, anew: boolean): Matched {
    const known = this.#enter(now, node, idle);
    if (anew) this.#held.lapse(now + PROMISE_MS - PROMISE_HEARD_MS);
    return this.#search(now, node.id, known, null);
  }

  short(now: number, from: string, asker: string, count: number, idle: number): Matched {
    this.#tend(now);
    this.#revision.moveAgain(now);
    // A dead node must not come back as a free slot.
    if (this.#nodes.has(from)) setCount(this.#free, from, idle);
    this.#held.unpromise(asker, count);
    return this.#search(now, asker, true, from);
  }

  beat(now: number, node: Peer, beat: RouteBeat): RouteBeatReply {
    const known = this.#enter(now, node, beat.idle, beat.rests);
    setCount(this.#serving, node.id, beat.serving ?? 0);
    const before = this.#instances.outline;
    for (const id of beat.gone) if (this.#instances.homeOf(id) === node.id) this.#judge(now, this.#instances.delete(now, id));
    const missing: string[] = [];
    const numbered: [string, number][] = [];
    const turnedAway: string[] = [];
    for (const { id, info, claim } of beat.instances) {
      const home = this.#instances.homeOf(id);
      if (info === null) {
        if (home === null) missing.push(id);
        else this.#judge(now, this.#instances.unchanged(now, id));
      } else if (claim || home === null || home === node.id) {
        const seq = this.#numberOf(now, info);
        if (info.seq === 0 || claim) numbered.push([id, seq]);
        if (this.#said(now, node.id, { ...info, seq }, info.seq === 0)) turnedAway.push(id);
      }
    }
    if (this.#instances.outline !== before) this.#revision.move(now);
    const said = { now, known, revision: this.revision, missing, numbered, turnedAway, starting: this.#startingCount() };
    const asked = this.#instances.asked(beat, (seq) => this.#starts.isOld(now, seq));
    return { ...said, ...this.#held.seenFrom(node.id), ...this.#instances.newest, ...asked };
  }

  get revision(): string {
    return this.#revision.text;
  }

  /** False: it has not really stopped beating here. */
  leave(now: number, node: string, onlyDead: boolean): boolean {
    this.#tend(now);
    if (onlyDead && this.#nodes.isHeard(now, node)) return false;
    // It may live, and know nothing of it.
    if (onlyDead && this.#nodes.has(node)) this.#revision.move(now);
    this.#forget(now, node);
    return true;
  }

  retire(now: number, node: string, id: string, minInstances: number): boolean {
    this.#tend(now);
    const before = this.#instances.outline;
    const { may, verdict } = this.#instances.retire(now, node, id, minInstances);
    if (this.#instances.outline !== before) this.#revision.move(now);
    this.#judge(now, verdict);
    return may;
  }

  plan(now: number): StartPlan {
    this.#tend(now);
    return {
      held: this.#held.size,
      promised: this.#held.promised,
      ...this.#held.extra,
      slots: this.#instances.slots,
      free: sum(this.#free.values()),
      serving: sum(this.#serving.values()),
      ready: this.#instances.count('ready'),
      paused: this.#instances.count('paused'),
      leaving: this.#instances.count('draining'),
      starting: this.#startingCount(),
      concurrency: this.#concurrency,
      old: this.#instances.countReady((seq) => this.#starts.isOld(now, seq)),
      ...this.#starts.plan(now),
    };
  }

  beginStarts(
    now: number,
    startIds: readonly string[],
    timeoutMs: number,
    plan: Pick<StartPlan, 'ready' | 'starting' | 'begun'>,
    facts: StartFacts,
  ): boolean {
    this.#tend(now);
    if (this.#instances.count('ready') + this.#startingCount() !== plan.ready + plan.starting) return false;
    if (this.#starts.begunEver !== plan.begun) return false;
    this.#revision.move(now);
    this.#starts.begin(now, startIds, timeoutMs, facts);
    return true;
  }

  endStart(now: number, id: string, failure?: StartFailure): boolean {
    const wasKnown = this.#starts.end(now, id, failure);
    if (wasKnown) this.#revision.move(now);
    return wasKnown;
  }

  noteFailure(now: number, reason: string, instance?: string): void {
    this.#judge(now, instance === undefined ? { failure: reason, isNew: true } : this.#instances.fail(instance, reason));
  }

  endedStarts(now: number): EndedStart[] {
    this.#tend(now);
    return this.#starts.ended.due(now);
  }

  takeEnded(ended: readonly EndedStart[]): EndedStart[] {
    return this.#starts.ended.take(ended);
  }

  startLinked(now: number, startId: string, isReady: boolean): boolean {
    this.#tend(now);
    return this.#instances.hasStart(startId, isReady);
  }

  startTimes(now: number, id: string): StartTimes | null {
    return this.#starts.times(now, id);
  }

  want(now: number, count: number): void {
    this.#starts.want(now, count);
  }

  restart(now: number): number {
    this.#tend(now);
    const seqs = this.#instances.seqs;
    if (seqs.length === 0) return 0;
    this.#starts.restart(now, Math.max(...seqs));
    this.#revision.move(now);
    return seqs.length;
  }

  linked(now: number): boolean {
    this.#tend(now);
    return this.#instances.size > 0;
  }

  snapshot(now: number, name: string, settings: RouteRecord | null): Omit<RouteSnapshot, 'paused' | 'overload'> {
    this.#tend(now);
    const instances = this.#instances.snapshot();
    return estimated({
      name,
      held: this.#held.size,
      oldestHeldMs: Math.max(0, Math.round(now - (this.#held.oldest?.arrival ?? now))),
      active: sum(instances.map(({ active }) => active)),
      slots: this.#instances.slots,
      free: sum(this.#free.values()),
      starting: this.#startingCount(),
      starts: startsOf(this.#starts.left(now)).slice(0, STARTS_SHOWN_MAX),
      instances,
      settings,
      trouble: this.#starts.trouble(now),
      ...this.#pace,
    });
  }

  get #pace(): Pace {
    return { slotMs: this.#waits.slotMs, startMs: this.#waits.startMs, slotsPerStart: this.#concurrency };
  }

  waits(now: number, measured: Measured): RouteSupply {
    this.#tend(now);
    this.#waits.took(now, measured);
    const starting = Math.min(START_AGES_MAX, this.#startingCount());
    return {
      held: this.#held.size,
      oldestHeldMs: Math.max(0, Math.round(now - (this.#held.oldest?.arrival ?? now))),
      slots: this.#instances.slots,
      free: sum(this.#free.values()),
      ...this.#pace,
      startAgesMs: this.#starts.lastAges(now, starting),
    };
  }

  started(startId: string, ms: number): void {
    this.#waits.started(startId, ms);
  }

  /** Whether the route has nothing to remember. Of a key nobody remembers what its instances could do. */
  isEmpty(now: number, isKey: boolean): boolean {
    this.#tend(now);
    return (
      this.#nodes.size === 0 &&
      (isKey ? this.#starts.size === 0 && this.#starts.retryInMs(now) === 0 : this.#starts.isEmpty() && this.#concurrency === null)
    );
  }

  /** Notes that the node lives and is at this route. Returns whether that was known. */
  #enter(now: number, node: Peer, idle: number, rests = false): boolean {
    this.#tend(now);
    const known = this.#nodes.touch(now, node, rests);
    setCount(this.#free, node.id, idle);
    return known;
  }

  /** Comes first in every transition, and removes what has expired. */
  #tend(now: number): void {
    this.#now = now;
    const dead = this.#nodes.dead(now);
    if (dead.length > 0) this.#spareOrForget(now, dead);
    this.#held.lapse(now);
    this.#held.tidy();
    if (this.#starts.tend(now)) this.#revision.move(now);
  }

  /** They may live, and know nothing of it: then they say all again. */
  #spareOrForget(now: number, dead: readonly string[]): void {
    const { isSpared, isNew } = this.#nodes.stoodStill(now);
    if (!isSpared || isNew) this.#revision.move(now);
    if (!isSpared) for (const node of dead) this.#forget(now, node);
  }

  #forget(now: number, node: string): void {
    this.#nodes.delete(node);
    this.#free.delete(node);
    this.#serving.delete(node);
    this.#held.deleteNode(node);
    this.#held.tidy();
    if (this.#instances.deleteNode(node)) this.#revision.move(now);
  }

  #search(now: number, node: string, known: boolean, excluded: string | null): Matched {
    const moves = this.#match(now, excluded);
    const waiting = this.#held.waiting(node);
    const waitElsewhere = this.#held.size - this.#held.promised > waiting;
    return {
      now,
      known,
      moves,
      waiting,
      oldestHere: waiting > 0 ? this.#oldest((holder) => holder === node) : null,
      oldestElsewhere: waitElsewhere ? this.#oldest((holder) => holder !== node) : null,
      failingMs: waiting > 0 ? this.#failingMs(now) : 0,
      ...(this.#held.isFair ? this.#firstRanks(node) : {}),
    };
  }

  #firstRanks(node: string): Pick<Matched, 'firstHere' | 'firstElsewhere'> {
    if (this.#nodes.size === 1) return { firstHere: null, firstElsewhere: null };
    return {
      firstHere: this.#held.firstRank((holder) => holder === node),
      firstElsewhere: this.#held.firstRank((holder) => holder !== node),
    };
  }

  /** The first client in the order first, from the node with most idle slots. A client whose own node has an idle slot is left to that slot. */
  #match(now: number, excluded: string | null): Move[] {
    const idle = new Map(this.#free);
    if (excluded !== null) idle.delete(excluded);
    if (idle.size === 0) return [];
    const moves = new Map<string, Move>();
    for (const client of this.#held.isFair ? this.#held.inOrder() : this.#held.unpromised()) {
      const own = idle.get(client.node);
      const from = own === undefined ? mostIdle(idle) : client.node;
      if (from === null) break;
      if (own !== undefined && own < costOf(client)) continue;
      const taken = Math.min(costOf(client), idle.get(from) ?? 0);
      setCount(idle, from, (idle.get(from) ?? 0) - taken);
      if (from === client.node) continue;
      setCount(this.#free, from, (this.#free.get(from) ?? 0) - taken);
      this.#held.promise(client, now + PROMISE_MS);
      const pair = `${from}\n${client.node}`;
      const to = { id: client.node, address: this.#nodes.addressOf(client.node) };
      moves.set(pair, { from, to, count: (moves.get(pair)?.count ?? 0) + taken });
    }
    return [...moves.values()];
  }

  #oldest(at: (holder: string) => boolean): number | null {
    for (const client of this.#held.unpromised()) if (at(client.node)) return client.arrival;
    return null;
  }

  #numberOf(now: number, { id, seq }: InstanceInfo): number {
    const number = seq || this.#instances.seqOf(id) || Math.max(Math.ceil(now), this.#lastSeq + 1);
    this.#lastSeq = Math.max(this.#lastSeq, number);
    return number;
  }

  /** Takes a node's report about an instance whose home it is; `isFirst`: its first link of all. Returns whether it is turned away. */
  #said(now: number, node: string, { placesMax, placesAreStrict, ...said }: InstanceInfo, isFirst: boolean): boolean {
    const isNew = this.#instances.homeOf(said.id) === null;
    const answered = this.#instances.hasAnswered(said.id);
    const wasGivenUp = isNew && said.startId !== undefined && this.#starts.ended.comesBack(said.startId);
    const start = this.#starts.linked(said.startId, isNew);
    const mayBeLate = isNew && start === undefined && (placesAreStrict === true || (isFirst && said.startId !== undefined));
    const isLate = mayBeLate && placesMax !== undefined && this.#isTooLate(placesMax, placesAreStrict === true);
    const info = isLate ? { ...said, state: 'draining' as const } : said;
    if (isLate && info.startId !== undefined) this.#starts.ended.add(info.startId, 'turned_away', now);
    const own = start ?? (wasGivenUp ? info.startId : undefined);
    this.#judge(now, this.#instances.set(now, node, info, own, isLate));
    if (info.answered === true && !answered && !this.#instances.hasFailed(info.id)) this.#starts.answers();
    // Nobody knows how much a paused instance would take.
    if (info.concurrency > 0) this.#concurrency = info.concurrency;
    return isLate;
  }

  #isTooLate(placesMax: number, isStrict: boolean): boolean {
    const there = this.#instances.size - (isStrict ? 0 : this.#instances.count('draining'));
    if (there >= placesMax) return true;
    if (there + this.#starts.size >= placesMax) this.#starts.endOldest();
    return false;
  }

  #judge(now: number, verdict: StartVerdict): void {
    if (verdict === null) return;
    if ('good' in verdict) this.#starts.succeeded();
    else if (verdict.isNew) this.#starts.fail(now, verdict.failure);
    else this.#starts.explain(verdict.failure);
  }

  /** How long clients should not wait: starts keep failing, and no instance is there or on its way. */
  #failingMs(now: number): number {
    return this.#instances.count('ready', 'paused', 'starting') + this.#starts.size > 0 ? 0 : this.#starts.retryInMs(now);
  }

  #startingCount(): number {
    return this.#starts.size + this.#instances.count('starting');
  }
}
