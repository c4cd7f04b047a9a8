/**
 * Idle slots of one route at this node, and clients of it that wait at others. One offer is under way at a time; none is made
 * while no client is known to wait elsewhere, so that slots in warm traffic cost nothing.
 */
import { caught, guard, unawaited } from '../../boundary.ts';
import type { Peer } from '../cluster.ts';
import type { Directory, Matched } from '../directory.ts';
import { goesBefore, type Rank } from '../fair-order.ts';
import { OFFER_PAUSE_MS, PROMISE_HEARD_MS, SET_AGE_MS } from '../limits.ts';
import type { DirectoryClock } from './clock.ts';
import type { Demand } from './demand.ts';
import type { MoveNotices } from './move-notices.ts';

export interface OffersContext {
  readonly self: Peer;
  readonly directory: Directory;
  readonly demand: Demand;
  readonly clock: DirectoryClock;
  readonly moves: MoveNotices;
  /** Local monotonic ms. */
  now(): number;
}

export class SlotOffers {
  readonly #route: string;
  readonly #context: OffersContext;
  readonly #enter: () => void;
  readonly #found: (reply: Matched, sentAt: number) => void;
  readonly #rematch: () => void;
  #idle = 0;
  /** So many the directory was told of beside an offer, and has not promised since. */
  #said = 0;
  #state: 'none' | 'scheduled' | 'running' | 'again' | 'ended' = 'none';
  #pausedUntil = Number.NEGATIVE_INFINITY;
  /** When slots that lie here could not be moved last. */
  #shortAt = Number.NEGATIVE_INFINITY;
  /** Slots of a new instance are always offered: the message about waiting clients may be lost, and many wait for just this. */
  #unasked = true;
  /** Promises of slots here that this node would have heard of by now are void: the messages about them are lost. */
  #anew = false;
  #again: NodeJS.Timeout | null = null;
  readonly #short = new Map<string, number>();

  /** `enter` comes before an offer, `found` with its response; `rematch` when slots were kept back in vain. */
  constructor(
    route: string,
    context: OffersContext,
    on: { readonly enter: () => void; readonly found: (reply: Matched, sentAt: number) => void; readonly rematch: () => void },
  ) {
    this.#route = route;
    this.#context = context;
    this.#enter = on.enter;
    this.#found = on.found;
    this.#rematch = on.rematch;
  }

  get idle(): number {
    return this.#idle;
  }

  /** To tell the directory beside an offer. */
  say(): number {
    this.#said = this.#idle;
    return this.#idle;
  }

  /** The directory has promised some of those that it was told of beside an offer. */
  promised({ moves }: Matched): void {
    for (const { from, count } of moves) if (from === this.#context.self.id) this.#said -= count;
  }

  /** The directory counts slots that are not here any more: it believes that clients who are held here have them. */
  get isOverstated(): boolean {
    return this.#idle < this.#said;
  }

  get isQuiet(): boolean {
    return this.#state === 'none' && this.#short.size === 0;
  }

  setIdle(count: number): void {
    this.#idle = count;
    if (count > 0 && (this.#unasked || this.#isWantedElsewhere())) this.offer();
  }

  /** An instance has just become ready. */
  expectMore(): void {
    this.#unasked = true;
  }

  /** The reply to a beat says that clients are held elsewhere: what a lost message would have said. */
  heldElsewhere(): void {
    if (this.#hasEnded()) return;
    this.#unasked = true;
    this.#anew = true;
    if (this.#idle === 0) return;
    this.offer();
    // Promises that were too young then to be lost.
    this.#again ??= setTimeout(this.#offerAgain, PROMISE_HEARD_MS).unref();
  }

  readonly #offerAgain = guard('timer', (): void => {
    this.#again = null;
    this.#anew = true;
    this.offer();
  });

  /** Offers the idle slots, if there are any. */
  offer(): void {
    if (this.#state === 'running') this.#state = 'again';
    if (this.#state !== 'none') return;
    this.#state = 'scheduled';
    setImmediate(this.#runSoon);
  }

  olderElsewhere(heldMs: number, rank?: Rank): boolean {
    const now = this.#context.now();
    // Slots that can't be moved must not be kept back.
    if (now < this.#pausedUntil) return false;
    const directoryNow = this.#context.clock.at(now);
    if (directoryNow === null) return false;
    const isOlder = (oldest: number): boolean => directoryNow - oldest > heldMs + SET_AGE_MS;
    const { demand } = this.#context;
    if (rank !== undefined) return demand.some(this.#route, now, (oldest, first) => goesBefore(first, rank) ?? isOlder(oldest));
    const oldest = demand.oldest(this.#route, now);
    return oldest !== null && isOlder(oldest);
  }

  /** `count` slots promised to `asker` can't be moved. */
  short(count: number, asker: Peer): void {
    // At the end of the turn the number of idle slots is final.
    if (this.#short.size === 0) setImmediate(this.#sayShort);
    this.#short.set(asker.id, (this.#short.get(asker.id) ?? 0) + count);
  }

  end(): void {
    this.#state = 'ended';
    if (this.#again !== null) clearTimeout(this.#again);
    this.#again = null;
  }

  readonly #runSoon = (): void => unawaited('directory', this.#run());

  async #run(): Promise<void> {
    const { directory, self, demand } = this.#context;
    while (!this.#hasEnded()) {
      this.#state = 'running';
      const sentAt = this.#context.now();
      if (this.#idle === 0 || !directory.connected || sentAt < this.#pausedUntil) break;
      const anew = this.#anew;
      this.#unasked = false;
      this.#anew = false;
      this.#enter();
      const reply = await directory.offer(this.#route, self, this.#idle, anew).catch(() => null);
      // The directory does not answer: no client elsewhere is known to be older.
      if (reply === null) demand.forget(this.#route);
      else if (!this.#follow(reply, sentAt)) break;
      if (!this.#isDueAgain()) break;
    }
    if (this.#hasEnded()) return;
    this.#state = 'none';
    this.#rematch();
  }

  /** False: it could not be followed, and the next offer waits. */
  #follow(reply: Matched, sentAt: number): boolean {
    try {
      this.#found(reply, sentAt);
      return true;
    } catch (error) {
      caught('directory', error);
      this.#pausedUntil = this.#context.now() + OFFER_PAUSE_MS;
      return false;
    }
  }

  readonly #sayShort = guard('timer', (): void => {
    const { now, moves, self } = this.#context;
    const shorts = [...this.#short];
    this.#short.clear();
    if (this.#hasEnded()) return;
    // Slots lie here and could not be moved before. Do not try again at once; this node's own clients may have them.
    const isStuck = this.#idle > 0 && now() - this.#shortAt < OFFER_PAUSE_MS;
    if (this.#idle > 0) this.#shortAt = now();
    if (isStuck) this.#pausedUntil = now() + OFFER_PAUSE_MS;
    for (const [asker, count] of shorts) {
      unawaited('directory', moves.short(this.#route, { from: self.id, asker, count, idle: this.#idle, look: !isStuck }));
    }
    this.#rematch();
  });

  #isWantedElsewhere(): boolean {
    return this.#context.demand.oldest(this.#route, this.#context.now()) !== null;
  }

  // Methods, because the state changes while the loop waits.
  #isDueAgain(): boolean {
    return this.#state === 'again';
  }

  #hasEnded(): boolean {
    return this.#state === 'ended';
  }
}
