import { isDeepStrictEqual } from 'node:util';
import type { Rank } from '../../cluster/fair-order.ts';
import { olderAmong } from '../../cluster/wait-estimate.ts';
import { hasKey } from '../../config/route-key.ts';
import type { RouteSettings } from '../../config/route-settings.ts';
import { PullproxyError } from '../../errors.ts';
import { Affinity } from './affinity.ts';
import { ColdStageCounters } from './cold-start.ts';
import { RouteCounters } from './counters.ts';
import { Crowds } from './crowds.ts';
import { FairDiscipline } from './fair-discipline.ts';
import { Gatherings } from './gatherings.ts';
import type { HeldQueue } from './held-queue.ts';
import { KnownInstances } from './known-instances.ts';
import { type Lender, LentSlots } from './lent-slots.ts';
import { FIFO, type QueueDiscipline } from './queue-discipline.ts';
import { askOf, type QueueRules, queueRules } from './queue-rules.ts';
import type { Rematch } from './rematch.ts';
import { FailingStarts, NewestPull, Yielding } from './route-policies.ts';
import { type Ahead, RouteWaits } from './route-waits.ts';
import { SleepRules } from './sleep-rules.ts';
import type { Visit } from './visit.ts';

/** Made once, as those of holds.ts are. */
const ASLEEP = new PullproxyError('asleep');

/** Why a route is known. */
export interface Standing {
  /** It has settings of its own. */
  configured: boolean;
  /** Otherwise it is forgotten after this, unless it has lenders or holds clients. Monotonic ms. */
  knownUntil: number;
  /** The secret of the linker that made it known; null: it is configured, or served at another node. */
  knownBy: string | null;
}

interface QueueEvents {
  /** A held visit's ask is another one. */
  asksAnew(visit: Visit): void;
  /** Nobody waits for longer from now on; said once a minute. */
  overloaded(waitMs: number): void;
  /** A queue for those who wait for one instance. */
  preferringQueue(waitMs: number, discipline: QueueDiscipline<Visit>): HeldQueue<Visit>;
  /** The visit has waited for one instance, and takes any. */
  preferenceOver(visit: Visit): void;
}

/** Between two times that it is said. */
const OVERLOAD_GAP_MS = 60_000;

/** One application: who waits for it here and who serves it from here. */
export class Route {
  readonly name: string;
  /** It is a key of another route. */
  readonly isKey: boolean;
  readonly held: HeldQueue<Visit>;
  readonly slots = new LentSlots();
  readonly instances = new KnownInstances();
  readonly yielding = new Yielding();
  readonly newestPull = new NewestPull();
  readonly starts = new FailingStarts();
  readonly rematch: Rematch;
  readonly gatherings: Gatherings;
  /** As many slots as an instance may have at most, over the whole cluster; null: not known. */
  largest: number | null = null;
  readonly standing: Standing = { configured: false, knownUntil: 0, knownBy: null };
  /** Those of its route, if it is a key's: metrics do not tell keys apart. */
  counters = new RouteCounters();
  coldStages = new ColdStageCounters();
  /** The route of which this one is a key; null: it is none, or its route is not known. */
  parent: Route | null = null;
  readonly waits = new RouteWaits();
  sleepRules: SleepRules | null = null;
  quietHeld = 0;
  tunnels = 0;
  #isPaused = false;
  /** The response to a request that it sleeps through. */
  asleep = ASLEEP;
  /** The rules by which the queue orders clients besides their age; null: there are none. */
  rules: QueueRules | null = null;
  /** The order by these rules. */
  order: FairDiscipline<Visit> | null = null;
  /** Null: no client has left while it was held, or nobody wants to know. */
  crowds: Crowds | null = null;
  /** Null: each instance is as good for every client. */
  affinity: Affinity | null = null;
  #overloadSaidAt = Number.NEGATIVE_INFINITY;
  readonly #events: QueueEvents | null;
  #settings: RouteSettings;

  constructor(name: string, settings: RouteSettings, held: HeldQueue<Visit>, rematch: Rematch, events: QueueEvents | null = null) {
    this.name = name;
    this.isKey = hasKey(name);
    this.#settings = settings;
    this.held = held;
    this.rematch = rematch;
    this.gatherings = new Gatherings(() => rematch.within(0, performance.now()));
    this.#configureSleep(settings);
    this.#events = events;
    this.#configureAffinity(settings);
    this.#follow(settings);
  }

  get settings(): RouteSettings {
    return this.#settings;
  }

  /** It is one of `parent`'s keys. */
  adoptedBy(parent: Route): void {
    this.parent = parent;
    this.counters = parent.counters;
    this.coldStages = parent.coldStages;
  }

  configure(settings: RouteSettings): void {
    this.#settings = settings;
    this.held.patience(settings.holdTimeoutMs, settings.coldHoldTimeoutMs);
    this.#configureSleep(settings);
    this.#configureAffinity(settings);
    this.#follow(settings);
    if (settings.queueOrder === 'fifo' && this.crowds !== null) {
      this.crowds = null;
      this.#limitWaits();
    }
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    this.#isPaused = true;
    this.held.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.held.resume();
  }

  get deadlineHeader(): string | null {
    return this.#settings.deadline ?? null;
  }

  #configureSleep({ sleepThrough, sleepStatus }: RouteSettings): void {
    this.sleepRules = sleepThrough === undefined ? null : new SleepRules(sleepThrough);
    this.asleep = sleepStatus === ASLEEP.kind.status ? ASLEEP : new PullproxyError('asleep', undefined, { status: sleepStatus });
  }

  /** Those who wait for an instance by another rule take any. */
  #configureAffinity(settings: RouteSettings): void {
    const { affinity: source, affinityWaitMs } = settings;
    const before = this.affinity;
    if (isDeepStrictEqual(before?.source, source)) {
      before?.configure(settings);
      return;
    }
    const events = this.#events;
    const isNone = source === undefined || events === null;
    this.affinity = isNone ? null : new Affinity(this.name, source, affinityWaitMs, (...queue) => events.preferringQueue(...queue));
    if (before === null) return;
    for (let visit = before.waiting.oldest; visit !== null; visit = before.waiting.oldest) {
      before.waiting.remove(visit);
      this.#events?.preferenceOver(visit);
    }
    before.lines.tidy();
  }

  /** How many clients wait here, for a slot of any instance or of one. */
  get heldHere(): number {
    return this.held.size + (this.affinity?.waiting.size ?? 0);
  }

  /** Those who are held keep their ages, and ask anew by the new rules. */
  #follow(settings: RouteSettings): void {
    const rules = queueRules(settings);
    if (isDeepStrictEqual(rules, this.rules)) return;
    this.rules = rules;
    this.gatherings.clear();
    const waitMs = rules?.priority === undefined || rules.priorityWaitMs === 0 ? Number.POSITIVE_INFINITY : rules.priorityWaitMs;
    this.order = rules === null ? null : new FairDiscipline<Visit>(waitMs, (visit) => this.#events?.asksAnew(visit));
    this.held.reorder(this.order ?? FIFO, (visit) => {
      visit.ask = rules === null ? null : askOf(rules, visit.word);
    });
    for (let visit = this.held.oldest; visit !== null; visit = visit.newer) this.#events?.asksAnew(visit);
  }

  /** Once for each visit with a wish. */
  preferenceServed({ affinity: wish }: Visit, { instance }: Lender): void {
    if (wish === null || this.affinity === null) return;
    wish.result = this.affinity.resultOf(wish, instance);
    if (wish.result !== null) this.counters.affinity[wish.result]++;
  }

  /** The client went away before it had a response. */
  left(visit: Visit, now: number): void {
    if (this.#settings.queueOrder === 'fifo' || this.#isPaused || visit.quiet) return;
    this.crowds ??= new Crowds(() => this.#limitWaits());
    this.crowds.left(visit, now);
  }

  #limitWaits(): void {
    const { crowds } = this;
    const leastMs = crowds?.leastMs ?? Number.POSITIVE_INFINITY;
    this.held.limit(leastMs, (visit, now) => crowds?.limitMs(visit, now) ?? Number.POSITIVE_INFINITY);
    const now = performance.now();
    if (leastMs === Number.POSITIVE_INFINITY || now - this.#overloadSaidAt < OVERLOAD_GAP_MS) return;
    this.#overloadSaidAt = now;
    this.#events?.overloaded(Math.round(leastMs));
  }

  /** How long its clients wait at most, since it is overloaded; null: it is not. */
  overloadMs(now: number): number | null {
    return this.#isPaused ? null : (this.crowds?.shownMs(now) ?? null);
  }

  newcomerWaitMs(now: number): number | null {
    return this.#isPaused ? null : this.waits.newcomerMs(this.held.size, now);
  }

  /** How many clients go before one that is held here. */
  aheadOf(visit: Visit, now: number): Ahead {
    const here = this.held.ahead(visit, now);
    // What asks mean elsewhere is not known: there are as many as here, by their share.
    if (this.order !== null) return { here, elsewhere: (others) => Math.round((others * here) / Math.max(1, this.held.size)) };
    return { here, elsewhere: (others, oldestMs) => olderAmong(others, now - visit.arrivedAt, oldestMs) };
  }

  /** How long a client that is held here will still wait; null: that is not known. */
  waitLeftMs(visit: Visit, now: number): number | null {
    return this.#isPaused ? null : this.waits.leftMs(this.aheadOf(visit, now), now);
  }

  /** For a comparison with clients of other nodes; undefined: their ages are compared. */
  rankOf(visit: Visit): Rank | undefined {
    return this.order?.rankOf(visit);
  }

  /** The lender has lent slots here. */
  lent(lender: Lender): void {
    this.starts.succeeded();
    if (lender.instance === this.instances.newest) this.newestPull.came(performance.now());
    this.slots.refilled(lender);
  }

  /** The newest ready instance in the cluster. Returns whether it was another one before. */
  becameNewest(instance: string): boolean {
    if (!this.instances.becameNewest(instance)) return false;
    this.starts.succeeded();
    return true;
  }

  /** As far as this node knows, another instance than this one serves. */
  hasOther(instance: string): boolean {
    return this.slots.lenders.some((lender) => lender.instance !== instance) || this.instances.hasOther(instance);
  }

  /** Another node may have the lender's idle slots. It does not want those of a suspect while others serve. */
  mayMove({ relayed, trust, instance, gathersFor }: Lender): boolean {
    return !relayed && gathersFor === undefined && (trust?.state !== 'suspect' || !this.hasOther(instance));
  }

  /** Idle slots here that another node may have. */
  get movable(): number {
    const suspect = this.slots.lenders.find(({ trust }) => trust?.state === 'suspect');
    return this.slots.movable(suspect === undefined || !this.hasOther(suspect.instance));
  }

  /** As far as this node knows, no instance is ready anywhere. */
  get isCold(): boolean {
    return !this.hasReady && !this.instances.hasNewest;
  }

  /** An instance with a link here has lent slots. */
  get hasReady(): boolean {
    return this.slots.lenders.some(({ birth }) => birth === undefined || birth.readyAt !== null);
  }

  get hasIdle(): boolean {
    return this.slots.choose('newest') !== null;
  }
}
