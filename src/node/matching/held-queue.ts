import { attempt, guard } from '../../boundary.ts';
import { olderAmong } from '../../cluster/wait-estimate.ts';
import { PART_READ_BYTES } from '../../memory/reused-reads.ts';
import { FIFO, type QueueDiscipline } from './queue-discipline.ts';

/** One queue may fill this share of the node's bytes for held requests. */
const QUEUE_BYTES_SHARE = 0.5;
/** So many entries are counted; who is further behind has a place by its age. */
const COUNTED_MAX = 1_000;
/** Between two looks for those whose time is up, while the more patient ones are older. */
const LOOK_GAP_MS = 20;

/** The sum over all queues of a node. */
export class HeldTally {
  size = 0;
  bytes = 0;
  readonly bytesMax: number;
  readonly queueBytesMax: number;
  /** Queues in which there are entries that read. */
  readonly reading = new Set<{ stopReading(): void }>();

  constructor(bytesMax = Number.POSITIVE_INFINITY) {
    this.bytesMax = bytesMax;
    this.queueBytesMax = bytesMax * QUEUE_BYTES_SHARE;
  }

  /** No further read fits any more. */
  get isFull(): boolean {
    return this.bytes + PART_READ_BYTES > this.bytesMax;
  }

  /** So many bytes more are kept. False: nothing more may be. */
  keep(bytes: number): boolean {
    this.bytes += bytes;
    if (!this.isFull) return true;
    // A read can't be undone: all stop before the one that would be too much.
    for (const queue of this.reading) queue.stopReading();
    return false;
  }
}

/** One place in a held queue. The queue's links live in the entry itself: 10,000 held clients cost no further object each. */
export class HeldEntry<T extends HeldEntry<T>> {
  /** Milliseconds on the node's monotonic clock; the place in the queue, also after a failed attempt. */
  arrivedAt: number;
  /** No instance was there when it came to be held: it waits for a start. */
  cold = false;
  /** It has had a slot, and its stream failed. */
  isRetried = false;
  /** Memory that the entry keeps while it waits. */
  heldBytes = 0;
  queue: HeldQueue<T> | null = null;
  /** Owned by the queue. */
  older: T | null = null;
  /** Owned by the queue. */
  newer: T | null = null;

  constructor(arrivedAt: number) {
    this.arrivedAt = arrivedAt;
  }

  /** It was held before, and its time is told elsewhere: its age is that of its place in the line. Does not change while it is held. */
  get isTimeless(): boolean {
    return false;
  }

  /** More bytes have come. False: nothing more is to be read while it waits, since those who are held keep as much as they may. */
  grow(bytes: number): boolean {
    this.heldBytes += bytes;
    return this.queue === null || this.queue.grew(bytes);
  }

  /** It waits from now on. Returns whether more of its request is read meanwhile. */
  beginWaiting(): boolean {
    return false;
  }

  /** There is no room for more of its request. */
  stopReading(): void {}
}

/** The clients of one route that wait for a slot at this node, oldest first. Tells the time by one timer for all of them. */
export class HeldQueue<T extends HeldEntry<T>> {
  size = 0;
  bytes = 0;
  readonly #tally: HeldTally;
  readonly #expired: (entry: T) => void;
  #discipline: QueueDiscipline<T>;
  readonly #reading = new Set<T>();
  #oldest: T | null = null;
  #youngest: T | null = null;
  /** The entry that was put in last: where the place of the next one that comes back is looked for. */
  #lastPlaced: T | null = null;
  #timer: NodeJS.Timeout | null = null;
  #holdTimeoutMs: number;
  /** The patience of clients that wait for a start. */
  #coldHoldTimeoutMs: number;
  /** In an overload. */
  #limitMs: (entry: T, now: number) => number = unlimited;
  #limitMsLeast = Number.POSITIVE_INFINITY;
  /** Time before that does not count. Infinity: the queue is paused. */
  #patienceFrom = Number.NEGATIVE_INFINITY;

  /** `expired` is called for each entry that was held for `holdTimeoutMs`; it is out of the queue by then. */
  constructor(holdTimeoutMs: number, tally: HeldTally, expired: (entry: T) => void, discipline: QueueDiscipline<T> = FIFO) {
    this.#holdTimeoutMs = holdTimeoutMs;
    this.#coldHoldTimeoutMs = holdTimeoutMs;
    this.#tally = tally;
    this.#expired = expired;
    this.#discipline = discipline;
  }

  get oldest(): T | null {
    return this.#oldest;
  }

  /** The entry that the next slot is for. It stays until it is removed. */
  get next(): T | null {
    return this.#discipline.next(this.#oldest);
  }

  /** Nobody is held for too long from now on. */
  pause(): void {
    this.#patienceFrom = Number.POSITIVE_INFINITY;
    this.#arm();
  }

  /** The patience of all who are held begins anew. */
  resume(): void {
    this.#patienceFrom = performance.now();
    this.#arm();
  }

  /** All who are held get their places in another order. `prepare` is called for each of them before. */
  reorder(discipline: QueueDiscipline<T>, prepare: (entry: T) => void): void {
    const before = this.#discipline;
    this.#discipline = discipline;
    for (let entry = this.#oldest; entry !== null; entry = entry.newer) {
      before.left(entry);
      prepare(entry);
      discipline.entered(entry);
    }
  }

  /** The entry is about to leave because it has a slot. */
  served(entry: T): void {
    if (entry.queue === this) this.#discipline.served(entry);
  }

  /** The entry waits for slots of its own, and is not `next` any more. */
  setAside(entry: T): void {
    if (entry.queue === this) this.#discipline.left(entry);
  }

  /** How long entries are held, and how long those that wait for a start. */
  patience(holdTimeoutMs: number, coldHoldTimeoutMs = holdTimeoutMs): void {
    if (holdTimeoutMs === this.#holdTimeoutMs && coldHoldTimeoutMs === this.#coldHoldTimeoutMs) return;
    this.#holdTimeoutMs = holdTimeoutMs;
    this.#coldHoldTimeoutMs = coldHoldTimeoutMs;
    this.#arm();
  }

  /** Entries are held no longer than that, `leastMs` the shortest of all times. */
  limit(leastMs: number, limitMs: (entry: T, now: number) => number): void {
    this.#limitMsLeast = leastMs;
    this.#limitMs = limitMs;
    this.#arm();
  }

  /** At the end for who comes now; at its original place for who comes back. */
  insert(entry: T): void {
    const older = this.#placeBefore(entry.arrivedAt);
    const newer = older === null ? this.#oldest : older.newer;
    entry.queue = this;
    entry.older = older;
    entry.newer = newer;
    if (older === null) this.#oldest = entry;
    else older.newer = entry;
    if (newer === null) this.#youngest = entry;
    else newer.older = entry;
    this.#lastPlaced = entry;
    this.#discipline.entered(entry);
    this.size++;
    this.#tally.size++;
    if (entry.beginWaiting()) {
      this.#reading.add(entry);
      this.#tally.reading.add(this);
    }
    this.grew(entry.heldBytes);
    if (!entry.isTimeless && (this.#timer === null || older === null)) this.#lookAtFirst(entry);
  }

  remove(entry: T): void {
    if (entry.queue !== this) return;
    const { older, newer } = entry;
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
    if (newer === null) this.#youngest = older;
    else newer.older = older;
    if (this.#lastPlaced === entry) this.#lastPlaced = older ?? newer;
    this.#discipline.left(entry);
    entry.queue = null;
    entry.older = null;
    entry.newer = null;
    this.size--;
    this.#tally.size--;
    if (this.#reading.delete(entry) && this.#reading.size === 0) this.#tally.reading.delete(this);
    this.grew(-entry.heldBytes);
    if (this.size === 0 && this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
  }

  /** How many go before the entry; of a long queue about how many. */
  ahead(entry: T, now: number): number {
    const said = this.#discipline.ahead(entry);
    if (said !== null) return said;
    if (entry === this.#youngest) return this.size - 1;
    let ahead = 0;
    for (let older = entry.older; older !== null; older = older.older) if (++ahead === COUNTED_MAX) return this.#aheadByAge(entry, now);
    return ahead;
  }

  #aheadByAge({ arrivedAt }: T, now: number): number {
    return Math.max(COUNTED_MAX, olderAmong(this.size, now - arrivedAt, now - (this.#oldest?.arrivedAt ?? now)));
  }

  /** The youngest of those that are looked for; null: there is none. */
  findYoungest(isIt: (entry: T) => boolean): T | null {
    let entry = this.#youngest;
    while (entry !== null && !isIt(entry)) entry = entry.older;
    return entry;
  }

  /** An entry here keeps `bytes` more. False: that is as much as may be kept, or more. */
  grew(bytes: number): boolean {
    this.bytes += bytes;
    const hasRoom = this.#tally.keep(bytes);
    const isFull = this.bytes + PART_READ_BYTES > this.#tally.queueBytesMax;
    if (isFull) this.stopReading();
    return hasRoom && !isFull;
  }

  /** Each entry is told once. */
  stopReading(): void {
    for (const entry of this.#reading) entry.stopReading();
    this.#reading.clear();
    this.#tally.reading.delete(this);
  }

  /**
   * The youngest entry that arrived no later than `arrivedAt`. When a link with thousands of streams breaks, they come back one
   * after the other, in front of thousands that are held: each finds its place beside the one before.
   */
  #placeBefore(arrivedAt: number): T | null {
    if (this.#youngest === null || this.#youngest.arrivedAt <= arrivedAt) return this.#youngest;
    let place: T | null = this.#lastPlaced;
    while (place !== null && place.arrivedAt > arrivedAt) place = place.older;
    if (place === null) return null;
    while (place.newer !== null && place.newer.arrivedAt <= arrivedAt) place = place.newer;
    return place;
  }

  /** The entry is the oldest one that has a time, or the first one. */
  #lookAtFirst(entry: T): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#patienceFrom !== Number.POSITIVE_INFINITY) this.#lookAt(this.#sinceOf(entry) + this.#leastMs);
  }

  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const first = this.#firstTimed();
    if (first !== null) this.#lookAtFirst(first);
  }

  #firstTimed(): T | null {
    let entry = this.#oldest;
    while (entry?.isTimeless === true) entry = entry.newer;
    return entry;
  }

  #lookAt(at: number): void {
    this.#timer = setTimeout(this.#expire, Math.max(1, at - performance.now()));
  }

  /** Nobody is held for less. */
  get #leastMs(): number {
    return Math.min(this.#holdTimeoutMs, this.#coldHoldTimeoutMs, this.#limitMsLeast);
  }

  #sinceOf({ arrivedAt }: T): number {
    return Math.max(arrivedAt, this.#patienceFrom);
  }

  #dueAt(entry: T, now: number): number {
    return this.#sinceOf(entry) + Math.min(entry.cold ? this.#coldHoldTimeoutMs : this.#holdTimeoutMs, this.#limitMs(entry, now));
  }

  readonly #expire = guard('timer', (): void => {
    this.#timer = null;
    const now = performance.now();
    const due: T[] = [];
    let nextAt = Number.POSITIVE_INFINITY;
    let entry = this.#oldest;
    for (; entry !== null && (entry.isTimeless || this.#sinceOf(entry) + this.#leastMs <= now); entry = entry.newer) {
      if (entry.isTimeless) continue;
      const dueAt = this.#dueAt(entry, now);
      if (dueAt <= now) due.push(entry);
      else nextAt = Math.min(nextAt, dueAt);
    }
    if (entry !== null) nextAt = Math.min(nextAt, this.#sinceOf(entry) + this.#leastMs);
    // Where patiences differ one look is for many: the more patient ones are passed by each time.
    if (this.#leastMs < Math.max(this.#holdTimeoutMs, this.#coldHoldTimeoutMs)) nextAt = Math.max(nextAt, now + LOOK_GAP_MS);
    for (const one of due) {
      if (one.queue !== this) continue;
      this.remove(one);
      attempt('visit', () => this.#expired(one));
    }
    if (this.#timer !== null || this.#oldest === null) return;
    if (nextAt === Number.POSITIVE_INFINITY) this.#arm();
    else this.#lookAt(nextAt);
  });
}

function unlimited(): number {
  return Number.POSITIVE_INFINITY;
}
