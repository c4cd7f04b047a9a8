/**
 * Keeps the directory up to date about this node's held clients, idle slots and instances at one route.
 *
 *   changes ──▶ exchange: one at a time; all due changes go out together and in order, the next ones after the reply
 *   idle    ──▶ offer:    see offers.ts
 *   want    ◀── notices:  results of either of them, or of another node's search
 *
 * With one exchange at a time, a slow directory gets larger batches and no queue of calls. After a failure everything is sent again
 * with the next beat. Where nothing has changed for a while the node rests, see rest.ts.
 */
import { caught, guard, unawaited } from '../../boundary.ts';
import type { ClusterListener, InstanceInfo, Peer } from '../cluster.ts';
import type { Bell, HoldReply, Matched } from '../directory.ts';
import type { Ask, Rank } from '../fair-order.ts';
import { BEAT_MS, HOLDS_GAP_MS, LEAVE_AFTER_MS } from '../limits.ts';
import { PROVED_AFTER_MS } from '../start-limits.ts';
import { DemandCalls } from './demand-calls.ts';
import { HeldRegister, type HoldCall } from './held-register.ts';
import { HomeRegister } from './home-register.ts';
import { RouteNews } from './news.ts';
import { type OffersContext, SlotOffers } from './offers.ts';
import { Rest } from './rest.ts';
import { Sweep } from './sweep.ts';

/** The parts of its member that a presence needs. */
export interface PresenceContext extends OffersContext {
  readonly bell: Bell;
  readonly listener: ClusterListener;
  /** All other nodes know that some rest. */
  mayRest(): boolean;
  /** This node has nothing at the route any more, also not in the directory. */
  left(route: string): void;
}

/** An instance that has become ready or has changed is looked at until it has proved itself. */
const INSTANCE_STIRS_MS = PROVED_AFTER_MS + 2 * BEAT_MS;

export class RoutePresence {
  readonly #route: string;
  readonly #context: PresenceContext;
  readonly #held = new HeldRegister();
  readonly #homes = new HomeRegister();
  readonly #offers: SlotOffers;
  readonly #sweep: Sweep;
  readonly #rest: Rest;
  readonly #demandCalls: DemandCalls;
  readonly #news: RouteNews;

  /** `unknown`: the directory need not know this node here; `entered`: it was told; `registered`: it has replied. */
  #standing: 'unknown' | 'entered' | 'registered' = 'unknown';
  #exchange: 'none' | 'delayed' | 'scheduled' | 'running' | 'ended' = 'none';
  #delay: NodeJS.Timeout | null = null;
  #beatDue = false;
  #sweepDue = false;
  #emptySince: number;
  #serving = 0;
  /** The values that the directory was told last. */
  #servingSaid = 0;

  constructor(route: string, context: PresenceContext) {
    this.#route = route;
    this.#context = context;
    this.#emptySince = context.now();
    this.#sweep = new Sweep(() => this.look(), context.now);
    this.#rest = new Rest(context.now);
    this.#demandCalls = new DemandCalls(route, context);
    this.#news = new RouteNews(route, context.listener, context.now);
    this.#offers = new SlotOffers(route, context, {
      enter: () => unawaited('directory', this.#enterToOffer()),
      found: (reply, sentAt) => this.#found(reply, sentAt),
      rematch: () => this.rematch(),
    });
  }

  // Calls of the node.

  hold(id: string, heldMs: number, maxHeld: number, ask?: Ask): void {
    const knewCost = this.#held.hasCost;
    this.#held.add(id, this.#context.now() - heldMs, maxHeld, ask);
    if (this.#held.hasCost && !knewCost) this.#beatDue = true;
    this.#scheduleHolds();
  }

  unhold(id: string): void {
    this.#held.remove(id);
    if (this.#held.pending) this.#scheduleHolds();
  }

  charge(line: string, units: number): void {
    this.#held.lines.charge(line, units);
    this.#scheduleHolds();
  }

  idle(count: number, served: number): void {
    if (served !== this.#serving || count !== this.#offers.idle) this.#rest.stir();
    this.#serving = served;
    this.#offers.setIdle(count);
    if (this.#offers.isOverstated && this.#held.size > 0 && !this.#held.pending) this.look();
  }

  short(count: number, asker: Peer): void {
    this.#offers.short(count, asker);
  }

  olderElsewhere(heldMs: number, rank?: Rank): boolean {
    return this.#offers.olderElsewhere(heldMs, rank);
  }

  instance(info: InstanceInfo): void {
    if (this.#homes.set(info)) this.#offers.expectMore();
    this.#followHomes();
  }

  instanceGone(id: string): void {
    this.#homes.remove(id);
    this.#followHomes();
  }

  #followHomes(): void {
    if (this.#homes.pending) this.#rest.stir();
    if (!this.#homes.urgent) return;
    this.#rest.stirFor(INSTANCE_STIRS_MS);
    this.#schedule();
  }

  async mayRetire(id: string, minInstances: number): Promise<boolean> {
    const { directory, self } = this.#context;
    const may = await directory.retire(this.#route, self.id, id, minInstances);
    if (may) this.#homes.retired(id);
    this.#rest.stir();
    return may;
  }

  /** An instance's linker, or a slot of one, is at this node. */
  get linked(): boolean {
    return this.#homes.size > 0 || this.#offers.idle > 0;
  }

  /** The home node of the newest instance, or of that one, moves its idle slots here. */
  pull(count: number, instance?: { readonly id: string; readonly node?: string }): void {
    const { bell, self } = this.#context;
    const from = instance?.node ?? this.#news.newestNode;
    if (from === null || from === self.id) return;
    unawaited('bell', bell.ring(from, { t: 'want', route: this.#route, count, asker: self, ...(instance && { instance: instance.id }) }));
  }

  isAwake(): Promise<boolean> {
    // Not about to be left.
    this.#emptySince = this.#context.now();
    return this.#news.isAwake(() => this.beat());
  }

  /** Starts in progress in the cluster, as of the last beat; undefined before the first. */
  get starting(): number | undefined {
    return this.#news.starting;
  }

  // Calls of the member.

  /** Once a second. Returns whether it beats; otherwise `see` follows, with the route's revision. */
  tick(): boolean {
    if (this.#held.size > 0) this.#rest.stir();
    if (this.#rest.isOn && this.#mayRest()) {
      this.#emptySince = this.#context.now();
      return false;
    }
    this.beat();
    return true;
  }

  see(revision: string | null): void {
    if (this.#rest.isStill(revision)) this.#news.holds();
    else this.beat();
  }

  /** Everything that the node has here is known to the directory, and is no reason to look often. */
  #mayRest(): boolean {
    const { listener, mayRest } = this.#context;
    const asksReady = listener.asksReady?.(this.#route) === true;
    const isSaid = this.#standing === 'registered' && this.#held.isFollowed && !this.#held.pending && !this.#homes.pending;
    return mayRest() && isSaid && this.linked && this.#held.size === 0 && this.#offers.isQuiet && asksReady === this.#news.saysReady;
  }

  beat(): void {
    this.#beatDue = true;
    this.#held.recover();
    this.#schedule();
  }

  /** Searches again for the clients that are held here. */
  look(): void {
    this.#sweepDue = true;
    this.#schedule();
  }

  /** Clients wait elsewhere. */
  offer(): void {
    this.#offers.offer();
    // The decision how many instances those clients need depends on it.
    if (this.#serving !== this.#servingSaid) this.beat();
  }

  /** The directory may have lost everything: sends all again. */
  recover(): void {
    this.#standing = 'unknown';
    this.#held.lose();
    this.#homes.sayAgain(null);
    this.beat();
  }

  /** Slots here may have been kept back for clients elsewhere who have other slots, or are gone. */
  rematch(): void {
    if (this.#offers.idle > 0 && this.#held.size > 0 && !this.#hasEnded()) this.#context.listener.onRematch?.(this.#route);
  }

  /** Nothing is sent from now on. Returns true when the directory may have something of this node at the route. */
  end(): boolean {
    this.#exchange = 'ended';
    this.#news.end();
    this.#stopDelay();
    this.#offers.end();
    this.#sweep.stop();
    return this.#standing !== 'unknown';
  }

  // The exchange.

  /** When many clients wait and many are served, most are never sent: they come and go between two exchanges. */
  #scheduleHolds(): void {
    if (!this.#held.isKnown) {
      this.#schedule();
    } else if (this.#exchange === 'none') {
      this.#exchange = 'delayed';
      const due = guard('timer', () => this.#schedule());
      this.#delay = setTimeout(due, HOLDS_GAP_MS);
    }
  }

  #schedule(): void {
    if (this.#exchange !== 'none' && this.#exchange !== 'delayed') return;
    this.#stopDelay();
    this.#exchange = 'scheduled';
    // After the turn's I/O: clients that came in one turn are one call, those that came and went are none.
    setImmediate(this.#runSoon);
  }

  #stopDelay(): void {
    if (this.#delay !== null) clearTimeout(this.#delay);
    this.#delay = null;
  }

  readonly #runSoon = (): void => unawaited('directory', this.#run());

  async #run(): Promise<void> {
    if (this.#hasEnded()) return;
    this.#exchange = 'running';
    try {
      while (this.#context.directory.connected && !this.#hasEnded()) {
        const calls = this.#sendDue();
        if (calls.length === 0) break;
        await Promise.all(calls);
      }
    } catch (error) {
      // It is not certain what the directory got: the next beat sends everything again.
      caught('directory', error);
      this.#held.lose();
    }
    this.#news.isSilent();
    if (this.#hasEnded()) return;
    this.#exchange = 'none';
    if (this.#held.size > 0) this.#sweep.arm();
    this.rematch();
  }

  #hasEnded(): boolean {
    return this.#exchange === 'ended';
  }

  /** The order matters: a client that was served is no longer held before an instance that serves it is new or busy. */
  #sendDue(): Promise<void>[] {
    const holds = this.#held.take(this.#context.now());
    if (holds.length === 0 && this.#sweepDue && this.#held.size > 0) holds.push(this.#held.sweep());
    const beat = this.#beatDue || this.#homes.urgent;
    this.#sweepDue = false;
    this.#beatDue = false;
    if (holds.length === 0 && !beat) return [];
    if (holds.length === 0 && this.#isToLeave()) return [this.#leave()];
    const calls = [this.#enter(), ...holds.map((call, index) => this.#sendHold(call, index === holds.length - 1))];
    if (beat) calls.push(this.#sendBeat());
    return calls;
  }

  async #enter(): Promise<void> {
    if (this.#standing !== 'unknown') return;
    this.#standing = 'entered';
    const { directory, self } = this.#context;
    // If this is lost, the node's next beat notices.
    await directory.enterRoutes(self.id, [this.#route]).catch(() => undefined);
  }

  #enterToOffer(): Promise<void> {
    this.#rest.stir();
    return this.#enter();
  }

  async #sendHold(call: HoldCall, last: boolean): Promise<void> {
    const { directory, self, listener } = this.#context;
    const sentAt = this.#context.now();
    this.#rest.stir();
    // Together with the last call, when none of them counts as held any more.
    const serving = last ? this.#serving : undefined;
    if (last) this.#servingSaid = this.#serving;
    const reply = await directory.hold(this.#route, self, { ...call.change, idle: this.#offers.say(), serving }).catch(() => null);
    if (reply === null) return this.#held.lose();
    if (this.#hasEnded()) return;
    for (const id of this.#held.settle(call, reply.refused)) listener.onHoldRefused(this.#route, id);
    this.#followOrder(reply);
    this.#offers.promised(reply);
    this.#found(reply, sentAt);
  }

  #followOrder({ tags = [], putOut = [] }: HoldReply): void {
    const { bell, listener, self } = this.#context;
    for (const { node, id } of putOut) {
      if (node === self.id) this.putOut(id);
      else unawaited('bell', bell.ring(node, { t: 'out', route: this.#route, id }));
    }
    if (tags.length > 0) listener.onLines?.(this.#route, tags, (key) => this.#held.lines.untold(key));
  }

  /** The client was put out for a more urgent one: the directory has it no more. */
  putOut(id: string): void {
    if (this.#held.putOut(id)) this.#context.listener.onHoldRefused(this.#route, id);
  }

  async #sendBeat(): Promise<void> {
    const { directory, self, listener } = this.#context;
    const said = this.#homes.take();
    const bounds = this.#held.bounds;
    this.#servingSaid = this.#serving;
    const asksReady = listener.asksReady?.(this.#route);
    const rests = this.#rest.isDue && this.#mayRest();
    const beat = { idle: this.#offers.say(), serving: this.#serving, ...said, asksLargest: this.#held.hasCost, asksReady, rests };
    this.#rest.end();
    const reply = await directory.beatRoute(this.#route, self, beat).catch(() => null);
    if (reply === null) return this.#homes.failed(said);
    this.#rest.said(rests, reply.revision);
    this.#register(reply.known);
    this.#homes.heard(reply);
    this.#held.compare(reply.held, bounds);
    if (reply.heldElsewhere > 0) this.#offers.heldElsewhere();
    // It waits for the end of starts, and for idle slots to reach the clients of others.
    if (reply.starting > 0 || (reply.heldElsewhere > 0 && this.#offers.idle > 0)) this.#rest.stir();
    this.#news.take(reply);
  }

  /** A first response may say that the node was not known here; a later one means that the directory lost it. */
  #register(known: boolean): void {
    if (known || this.#standing === 'entered') this.#standing = 'registered';
    else if (this.#standing === 'registered') this.recover();
  }

  #isToLeave(): boolean {
    const now = this.#context.now();
    const empty = this.#held.size === 0 && !this.linked && !this.#homes.urgent && this.#offers.isQuiet;
    if (!empty) this.#emptySince = now;
    return empty && now - this.#emptySince >= LEAVE_AFTER_MS;
  }

  async #leave(): Promise<void> {
    const { directory, self } = this.#context;
    // A change that comes meanwhile enters it again.
    this.#standing = 'unknown';
    const left = await directory.leaveRoute(this.#route, self.id, false).then(
      () => true,
      () => false,
    );
    if (!left || !this.#isToLeave()) return;
    this.end();
    this.#context.left(this.#route);
  }

  #found(reply: Matched, sentAt: number): void {
    if (this.#hasEnded()) return;
    const { clock, demand, moves } = this.#context;
    const now = this.#context.now();
    clock.sample(reply.now, sentAt, now);
    this.#register(reply.known);
    demand.learn(this.#route, reply.firstElsewhere?.arrival ?? reply.oldestElsewhere, reply.now, now, reply.firstElsewhere);
    moves.send(this.#route, reply.moves);
    if (reply.failingMs > 0) this.#context.listener.onStartsFailing?.(this.#route, reply.failingMs);
    // Those that gather wait for requests to end: another instance may be there sooner.
    if (!this.#held.isGathering && (reply.waiting === 0 || this.#held.size === 0)) return;
    const inMs = this.#demandCalls.say(reply, this.#held.isAnew);
    // Nothing was heard now: a node with a slot may not know of these clients.
    if (inMs > 0) this.#sweep.within(inMs);
    else this.#held.isAnew = false;
  }
}
