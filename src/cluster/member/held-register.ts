/**
 * The clients that are held at this node for one route, and the changes that the directory does not have yet. A hold that ends
 * before it was sent costs nothing. Order matters: send the calls of `take` in their order.
 */

import { ChurnMap } from '../../memory/churn-map.ts';
import type { Hold, HoldChange, LineService } from '../directory.ts';
import { type Ask, lineKey } from '../fair-order.ts';
import { HOLDS_PER_CALL_MAX } from '../limits.ts';
import { LineRegister } from './line-register.ts';

/** Beyond this number, and when they are the majority, ended holds are removed from the list to send. */
const OVER_MAX = 100;

interface Held {
  readonly id: string;
  /** When it began, local monotonic ms. */
  readonly since: number;
  readonly maxHeld: number;
  readonly ask: Ask | undefined;
  /** When it came, nobody else was held here, or nobody else in its line. */
  readonly isFirst: boolean;
  /** `over`: it ended before it was sent. */
  state: 'new' | 'sent' | 'accepted' | 'over';
}

/** One call of the directory to make; it ends with `settle` or `failed`. */
export interface HoldCall {
  readonly change: Omit<HoldChange, 'idle'>;
  readonly sent: readonly Held[];
}

const NO_CHANGE: HoldCall = { sent: [], change: { add: [], remove: [], maxHeld: null, reset: false } };

export class HeldRegister {
  /** The places in the queue that its clients ask for, where they do. */
  readonly lines = new LineRegister();
  readonly #held = new ChurnMap<string, Held>();
  /** Includes ended holds. */
  #unsent: Held[] = [];
  #unsentOver = 0;
  #removed = new Set<string>();
  #accepted = 0;
  /** Those whose slots are brought together here. */
  readonly #gathering = new Set<string>();
  /** The directory has one who came first here, or in its line: it may be next of all, and other nodes have not heard of it. */
  isAnew = false;
  /** One has cost more than one slot. */
  hasCost = false;
  /** `lost`: the state of the directory is unknown; `recovering`: the next `take` sends everything again. */
  #directory: 'follows' | 'lost' | 'recovering' = 'follows';

  get size(): number {
    return this.#held.size;
  }

  /** The directory has a client of this node, and therefore searches slots for this node. */
  get isKnown(): boolean {
    return this.#directory === 'follows' && this.#accepted > 0;
  }

  /** The directory has got all that was sent. */
  get isFollowed(): boolean {
    return this.#directory === 'follows';
  }

  /** Whether `take` returns anything. */
  get pending(): boolean {
    if (this.#directory === 'lost') return false;
    return this.#directory === 'recovering' || this.lines.pending || this.#unsent.length > this.#unsentOver || this.#removed.size > 0;
  }

  /**
   * How many held clients of this node the directory has, when it has seen all that was taken. A range, because some in calls
   * without a reply yet may be refused. Read it right after `take`.
   */
  get bounds(): HeldBounds {
    return this.#directory === 'follows' ? { least: this.#accepted, most: this.#held.size } : { least: 0, most: Number.POSITIVE_INFINITY };
  }

  /** `held`: so many the directory has. `bounds`: as of when it was asked. */
  compare(held: number, { least, most }: HeldBounds): void {
    // It lost something, or still has a removed entry: a failover to a replica does that.
    if (held < least || held > most) this.lose();
  }

  add(id: string, since: number, maxHeld: number, ask?: Ask): void {
    this.remove(id);
    const isFirst = ask === undefined ? this.#held.size === 0 : this.lines.enter(lineKey(ask));
    const held: Held = { id, since, maxHeld, ask, isFirst, state: 'new' };
    this.#held.set(id, held);
    if (ask?.gathers === true) this.#gathering.add(id);
    if (ask !== undefined && ask.cost > 1) this.hasCost = true;
    this.#unsent.push(held);
  }

  remove(id: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    this.#gathering.delete(id);
    if (held.ask !== undefined) this.lines.leave(lineKey(held.ask));
    if (held.state === 'accepted') this.#accepted--;
    if (held.state === 'new') this.#forgetUnsent(held);
    else this.#removed.add(id);
  }

  get isGathering(): boolean {
    return this.#gathering.size > 0;
  }

  /** To be said with each call, since it counts for a moment only. */
  get gathers(): { readonly gathers?: readonly string[] } {
    return this.isGathering ? { gathers: [...this.#gathering].slice(0, HOLDS_PER_CALL_MAX) } : {};
  }

  /** The directory has put the client out. Returns whether it is held here. */
  putOut(id: string): boolean {
    const isHeld = this.#held.has(id);
    this.remove(id);
    this.#removed.delete(id);
    return isHeld;
  }

  /** The directory may have lost, or never got, the sent changes. Nothing more is taken until `recover`. */
  lose(): void {
    this.lines.forget();
    this.#directory = 'lost';
  }

  recover(): void {
    if (this.#directory === 'lost') this.#directory = 'recovering';
  }

  /** The due calls. `now`: local monotonic ms. */
  take(now: number): HoldCall[] {
    if (!this.pending) return [];
    const reset = this.#directory === 'recovering';
    const calls = reset ? this.#everything(now) : this.#changes(now);
    this.#removed = new Set();
    this.#unsent = [];
    this.#unsentOver = 0;
    this.#directory = 'follows';
    if (this.isGathering) calls.push(withGathers(calls.pop() as HoldCall, this.gathers));
    return calls;
  }

  /** A call that changes nothing: the sweep. */
  sweep(): HoldCall {
    const lines = this.lines.take();
    const { sent, change } = NO_CHANGE;
    return { sent, change: { ...change, ...(lines.length === 0 ? {} : { lines }), ...this.gathers } };
  }

  /** The call has a reply. Removes those of `refused` that are still held here, and returns them. */
  settle(call: HoldCall, refused: readonly string[]): string[] {
    const beyond = new Set(refused);
    const gone: string[] = [];
    for (const held of call.sent) {
      // It may have ended, and even begun again, while the call was out.
      if (this.#held.get(held.id) !== held) continue;
      if (beyond.has(held.id)) {
        this.remove(held.id);
        this.#removed.delete(held.id);
        gone.push(held.id);
      } else if (held.state !== 'accepted') {
        held.state = 'accepted';
        if (held.isFirst) this.isAnew = true;
        this.#accepted++;
      }
    }
    return gone;
  }

  /** Nothing is taken while the directory is away, and clients come and go. */
  #forgetUnsent(held: Held): void {
    held.state = 'over';
    if (++this.#unsentOver <= OVER_MAX || this.#unsentOver * 2 <= this.#unsent.length) return;
    this.#unsent = this.#unsent.filter(({ state }) => state === 'new');
    this.#unsentOver = 0;
  }

  /** All removals go before, or with, the first addition: an id may be in both. */
  #changes(now: number): HoldCall[] {
    const removed = [...this.#removed];
    const calls: HoldCall[] = [];
    while (removed.length > HOLDS_PER_CALL_MAX) calls.push(call([], removed.splice(0, HOLDS_PER_CALL_MAX), now, false));
    const additions = parts(this.#unsent.filter(({ state }) => state === 'new'));
    calls.push(call(additions.shift() ?? [], removed, now, false));
    calls[0] = withLines(calls[0] as HoldCall, this.lines.take());
    return calls.concat(additions.map((part) => call(part, [], now, false)));
  }

  /** A client that was accepted once is not refused after a loss. */
  #everything(now: number): HoldCall[] {
    const all = [...this.#held.values()];
    const accepted = parts(all.filter((held) => held.state === 'accepted')).map((part) => call(part, [], now, true));
    const others = parts(all.filter((held) => held.state !== 'accepted')).map((part) => call(part, [], now, false));
    const [first = call([], [], now, false), ...rest] = [...accepted, ...others];
    return [{ ...first, change: { ...first.change, reset: true } }, ...rest];
  }
}

export interface HeldBounds {
  readonly least: number;
  readonly most: number;
}

function withLines(first: HoldCall, lines: readonly LineService[]): HoldCall {
  return lines.length === 0 ? first : { ...first, change: { ...first.change, lines } };
}

function withGathers(last: HoldCall, gathers: Pick<HoldChange, 'gathers'>): HoldCall {
  return { ...last, change: { ...last.change, ...gathers } };
}

function call(part: Held[], remove: readonly string[], now: number, acceptedBefore: boolean): HoldCall {
  for (const held of part) if (held.state === 'new') held.state = 'sent';
  const add = part.map(({ id, since, ask }): Hold => {
    const hold = { id, ageMs: Math.max(0, Math.round(now - since)) };
    return ask === undefined ? hold : { ...hold, ask };
  });
  const maxHeld = acceptedBefore ? null : (part.at(-1)?.maxHeld ?? null);
  return { sent: part, change: { add, remove, maxHeld, reset: false } };
}

/** Oldest first, in parts for one call each; where room may be short, the most urgent are registered first. */
function parts(holds: readonly Held[]): Held[][] {
  const oldestFirst = [...holds].sort((a, b) => (a.ask?.urgency ?? 0) - (b.ask?.urgency ?? 0) || a.since - b.since);
  const found: Held[][] = [];
  for (let at = 0; at < oldestFirst.length; at += HOLDS_PER_CALL_MAX) found.push(oldestFirst.slice(at, at + HOLDS_PER_CALL_MAX));
  return found;
}
