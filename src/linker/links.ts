/**
 * The nodes that this instance is linked to. One is its home: it is the one that tells the cluster of the instance, and it is lent
 * whatever lies at home. Slots leave it by the nodes' own wish (moves.ts) and come back when a link is lost or a node leaves.
 */
import { attempt, guard } from '../boundary.ts';
import type { HostPort } from '../config/host-port.ts';
import type { InstanceReport } from '../link/instance-report.ts';
import type { Link } from '../link/link.ts';
import type { Log } from '../log.ts';
import type { AppPool } from './app-pool.ts';
import { type DialSettings, describeAddress, dial, endpointOf, type Lookup, type NodeAddress, resolveAddresses } from './dial.ts';
import { Gathers } from './gathers.ts';
import { HomeSearch } from './home-search.ts';
import { LinkTroubles } from './link-troubles.ts';
import { LinkedNode, type LinkedNodeEvents } from './linked-node.ts';
import { Moves } from './moves.ts';
import { race } from './race.ts';
import type { Slots } from './slots.ts';
import { Surplus } from './surplus.ts';

const LINKS_MAX = 64;
/** For one address; a node that waits for a move gives up sooner. */
const MOVE_TIMEOUT_MS = 5_000;
/** How often slots are offered to nodes that leave, while there is no other node: soon at first, and half as often each time. */
const OFFER_MS = { least: 50, most: 1_000 };

export interface LinksOptions extends DialSettings {
  readonly proxies: readonly HostPort[];
  readonly lookup?: Lookup;
  readonly slots: Slots;
  readonly pool: AppPool;
  readonly log: Log;
  /** A link that is not the home link and has no slot is closed after this time. */
  readonly idleLinkTimeoutMs: number;
  readonly random?: () => number;
  readonly events: LinksEvents;
}

export interface LinksEvents {
  /** The facts about the instance for a link that comes up. */
  picture(): Omit<InstanceReport, 'home'>;
  /** Another node is home. */
  newHome(): void;
  /** The home node has been lent slots. */
  lent(node: string): void;
  /** Slots are at home that were not. */
  slotsHome(): void;
  /** See LinkedNodeEvents. */
  said(text: string, heardAt: number): void;
  newest(yes: boolean, order: number | null): void;
  retireAnswer(yes: boolean): void;
  /** A node says that the instance came too late, and is not wanted. */
  turnedAway(): void;
}

/** `withheld`: slots stay at home. `lending`: they go to the home node. `leaving`: they stay at home, and no new home is sought. `closed`: no links. */
type LinksState = 'withheld' | 'lending' | 'leaving' | 'closed';

export class Links implements LinkedNodeEvents {
  readonly #options: LinksOptions;
  /** By the node's id. */
  readonly #linked = new Map<string, LinkedNode>();
  /** Links that end with their streams, to nodes to which there is another one by now. */
  readonly #replaced = new Set<LinkedNode>();
  readonly #ended = new AbortController();
  readonly #search: HomeSearch;
  readonly #moves: Moves;
  readonly #troubles: LinkTroubles;
  readonly #gathers: Gathers;
  readonly #surplus: Surplus;
  #home: LinkedNode | null = null;
  #state: LinksState = 'withheld';
  #idleCheck: NodeJS.Timeout | null = null;
  #offers: NodeJS.Timeout | null = null;
  #offered = 0;

  constructor(options: LinksOptions) {
    this.#options = options;
    const signal = this.#ended.signal;
    this.#troubles = new LinkTroubles(options.log);
    this.#search = new HomeSearch({
      proxies: options.proxies,
      lookup: options.lookup,
      dial: (target, until) => this.#dial(target, until),
      found: () => this.#home?.state === 'up' || this.#state === 'leaving' || this.#state === 'closed',
      failed: (address, error) => this.#troubles.failed(address, error),
      signal,
      random: options.random ?? Math.random,
    });
    const { slots } = options;
    this.#gathers = new Gathers(slots);
    this.#surplus = new Surplus({ slots, gathers: this.#gathers, links: () => this.#all, lend: () => this.#lendHome() });
    this.#moves = new Moves({
      slots,
      find: (said) => this.#find(said),
      dial: (address, until) => this.#dialAddress(address, until),
      mayLend: () => this.#state === 'lending',
      slotsHome: () => this.slotsHome(),
      signal,
    });
  }

  get home(): string | null {
    return this.#home?.node ?? null;
  }

  start(): void {
    const { idleLinkTimeoutMs } = this.#options;
    const closeIdle = guard('timer', () => this.#closeIdle());
    this.#idleCheck = setInterval(closeIdle, idleLinkTimeoutMs / 4);
    this.#search.begin();
  }

  /** The application accepts: slots go out. */
  lend(): void {
    if (this.#state === 'withheld') this.#state = 'lending';
    this.#lendHome();
  }

  /** The application does not accept: slots come back, and stay. */
  withhold(): void {
    if (this.#state !== 'lending') return;
    this.#state = 'withheld';
    this.#recallAll();
  }

  /** The instance leaves: slots come back for good. */
  leave(): void {
    if (this.#state === 'closed') return;
    this.#state = 'leaving';
    this.#recallAll();
  }

  close(reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#ended.abort(new Error(reason));
    if (this.#idleCheck !== null) clearInterval(this.#idleCheck);
    this.#surplus.stop();
    this.#endOffers();
    for (const linked of this.#all) attempt('link', () => linked.close(reason));
  }

  /** The limit of the instance is another one. */
  limitMoved(): void {
    this.#gathers.refuseAbove(this.#options.slots.limit);
    this.#surplus.limitMoved();
  }

  #recallAll(): void {
    this.#gathers.refuseAbove(0);
    for (const linked of this.#all) linked.recall(Number.POSITIVE_INFINITY);
  }

  get #all(): LinkedNode[] {
    return [...this.#linked.values(), ...this.#replaced];
  }

  report(): void {
    this.#home?.report({ home: true, ...this.#options.events.picture() });
  }

  /** Other nodes are told as well, though usually the home tells them. */
  reportToAll(): void {
    for (const linked of this.#all) {
      if (linked.state !== 'down') linked.report({ home: linked === this.#home, ...this.#options.events.picture() });
    }
  }

  /** False when there is no home to ask. */
  askRetire(): boolean {
    this.#home?.askRetire();
    return this.#home !== null;
  }

  /** False when there is no home to ask. */
  askStart(): boolean {
    this.#home?.askStart();
    return this.#home !== null;
  }

  // ── what nodes say ──

  moveWanted(from: LinkedNode, count: number, address: HostPort | null, said: string): void {
    this.#moves.wanted(from, count, address, said);
  }

  slotsHome(): void {
    this.#surplus.slotsHome();
    this.#options.events.slotsHome();
  }

  gather(from: LinkedNode, count: number): void {
    this.#gathers.want(from, count);
    this.#gathers.refuseAbove(this.#state === 'lending' ? this.#options.slots.limit : 0);
    this.#surplus.gather();
  }

  said(text: string, heardAt: number): void {
    this.#options.events.said(text, heardAt);
  }

  newest(yes: boolean, order: number | null): void {
    this.#options.events.newest(yes, order);
  }

  retireAnswer(yes: boolean): void {
    this.#options.events.retireAnswer(yes);
  }

  turnedAway(): void {
    this.#options.events.turnedAway();
  }

  goingAway(linked: LinkedNode): void {
    this.#options.log.info({ node: linked.node }, 'the node is leaving, or wants to be linked anew');
    if (linked.state === 'dismissed') this.#gathers.want(linked, 0);
    if (linked === this.#home) this.#rehome(linked);
  }

  down(linked: LinkedNode, reason: string): void {
    this.#gathers.want(linked, 0);
    if (!this.#replaced.delete(linked)) this.#linked.delete(linked.node);
    if (this.#state !== 'closed') this.#options.log.warn({ node: linked.node, reason }, 'a link is lost');
    if (linked === this.#home) {
      this.#home = null;
      this.#rehome(linked);
    }
    this.slotsHome();
  }

  // ── links come up ──

  async #dial(target: NodeAddress, signal: AbortSignal): Promise<LinkedNode> {
    const known = this.#find(endpointOf(target));
    // Behind the address of one that leaves there may be others: workers that share a port, nodes behind a load balancer.
    if (known?.state === 'up') {
      known.addresses.add(target.said);
      return known;
    }
    return dial(target, this.#options, signal, (link, node) => this.#up(link, node, target));
  }

  async #dialAddress(address: HostPort, signal: AbortSignal): Promise<LinkedNode> {
    if (this.#linked.size >= LINKS_MAX && !this.#closeOneWithoutSlots()) throw new Error(`there are ${LINKS_MAX} links already`);
    const linked = await race({
      targets: await resolveAddresses(address, signal, this.#options.lookup, true),
      attempt: (target, until) => this.#dial(target, until),
      timeoutMs: MOVE_TIMEOUT_MS,
      failed: (target, error) => this.#troubles.failed(describeAddress(target), error),
      signal,
    });
    if (linked === null) throw signal.reason;
    return linked;
  }

  /** Gives a link that is proved its role. A node that is linked already keeps its first link, unless it has dismissed that one. */
  #up(link: Link, node: string, target: NodeAddress): LinkedNode {
    const before = this.#linked.get(node);
    if (before?.state === 'dismissed') this.#replaced.add(before);
    const known = before?.state === 'dismissed' ? undefined : before;
    const { slots, pool, hello } = this.#options;
    // A node of 0.1 takes no more slots than the hello says.
    const lentMax = link.features.has('limits') ? (hello.concurrencyMax ?? hello.concurrency) : hello.concurrency;
    const linked = known ?? new LinkedNode(link, node, lentMax, slots, pool, this);
    linked.addresses.add(target.said).add(endpointOf(target));
    if (known !== undefined) {
      link.close('this node is linked already');
      return known;
    }
    this.#linked.set(node, linked);
    if (this.#state === 'closed') {
      linked.close('the instance is gone');
      return linked;
    }
    this.#options.log.info({ node, address: endpointOf(target) }, 'linked to a node');
    if (this.#home?.state === 'up') linked.report({ home: false, ...this.#options.events.picture() });
    else this.#settle(linked);
    return linked;
  }

  #find(said: string): LinkedNode | null {
    for (const linked of this.#linked.values()) if (linked.addresses.has(said)) return linked;
    return null;
  }

  // ── home ──

  /** The home node is gone or leaving: another link takes its place, or one is sought. */
  #rehome(from: LinkedNode): void {
    if (this.#state === 'closed') return;
    this.#search.lost(performance.now() - from.upSince);
    let best: LinkedNode | null = null;
    for (const linked of this.#linked.values()) {
      if (linked.state === 'up' && (best === null || linked.lent > best.lent)) best = linked;
    }
    if (best !== null) this.#settle(best);
    else if (this.#state !== 'leaving') {
      this.#offerIn(OFFER_MS.least);
      this.#search.begin();
    }
  }

  /** The new home speaks first: in between the cluster would believe that the instance is gone, and start another. */
  #settle(linked: LinkedNode): void {
    const before = this.#home;
    this.#home = linked;
    this.report();
    before?.report({ home: false, ...this.#options.events.picture() });
    this.#options.events.newHome();
    this.#lendHome();
  }

  #lendHome(): void {
    if (this.#state === 'lending') this.#gathers.lend();
    const count = this.#options.slots.atHome;
    if (this.#state !== 'lending' || this.#home?.state !== 'up' || count === 0) return;
    this.#home.grant(count);
    this.#options.events.lent(this.#home.node);
  }

  /**
   * All nodes leave, perhaps at once: whom they hold waits for slots that no other node can give. It is not known here who holds clients, so each gets
   * them in turn, and returns what it does not need.
   */
  #offer(afterMs: number): void {
    if (this.#home?.state === 'up' || this.#state === 'leaving') return;
    const leaving = [...this.#linked.values()].filter(({ state }) => state === 'leaving');
    if (this.#state === 'lending') leaving[this.#offered++ % leaving.length]?.grant(this.#options.slots.atHome);
    this.#offerIn(Math.min(OFFER_MS.most, 2 * afterMs));
  }

  #offerIn(ms: number): void {
    this.#endOffers();
    const offer = guard('timer', () => this.#offer(ms));
    this.#offers = setTimeout(offer, ms);
  }

  #endOffers(): void {
    if (this.#offers !== null) clearTimeout(this.#offers);
    this.#offers = null;
  }

  // ── links go ──

  #closeIdle(): void {
    const before = performance.now() - this.#options.idleLinkTimeoutMs;
    for (const linked of this.#all) if (linked.idleSince < before && this.#isUnused(linked)) linked.close('no slot is lent on this link');
  }

  #closeOneWithoutSlots(): boolean {
    for (const linked of this.#linked.values()) {
      if (!this.#isUnused(linked)) continue;
      linked.close('another link is needed');
      return true;
    }
    return false;
  }

  #isUnused(linked: LinkedNode): boolean {
    return linked !== this.#home && linked.lent === 0;
  }
}
