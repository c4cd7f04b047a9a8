/** One place in a held queue. The queue's links live in the entry itself: 10,000 held clients cost no further object each. */
export class HeldEntry {
  /** Milliseconds on the node's monotonic clock; the place in the queue, also after a failed attempt. */
  readonly arrivedAt: number;
  /** Memory that the entry keeps while it waits. */
  heldBytes = 0;
  queue: HeldQueue | null = null;
  /** Owned by the queue. */
  older: HeldEntry | null = null;
  /** Owned by the queue. */
  newer: HeldEntry | null = null;

  constructor(arrivedAt: number) {
    this.arrivedAt = arrivedAt;
  }

  /** More bytes have come while it waits. */
  grow(bytes: number): void {
    this.heldBytes += bytes;
    if (this.queue !== null) this.queue.bytes += bytes;
  }
}

/** The clients of one route that wait for a slot at this node, oldest first. Expects to be told of the time by its one timer. */
export class HeldQueue {
  size = 0;
  bytes = 0;
  #oldest: HeldEntry | null = null;
  #newest: HeldEntry | null = null;
  #timer: NodeJS.Timeout | null = null;
  #holdTimeoutMs: number;
  readonly #expired: (entry: HeldEntry) => void;

  /** `expired` is called for each entry that was held for `holdTimeoutMs`; it is out of the queue by then. */
  constructor(holdTimeoutMs: number, expired: (entry: HeldEntry) => void) {
    this.#holdTimeoutMs = holdTimeoutMs;
    this.#expired = expired;
  }

  get oldest(): HeldEntry | null {
    return this.#oldest;
  }

  get youngest(): HeldEntry | null {
    return this.#newest;
  }

  set holdTimeoutMs(value: number) {
    if (value === this.#holdTimeoutMs) return;
    this.#holdTimeoutMs = value;
    this.#arm();
  }

  /** At the end for who comes now; at its original place for who comes back. */
  insert(entry: HeldEntry): void {
    let after = this.#newest;
    while (after !== null && after.arrivedAt > entry.arrivedAt) after = after.older;
    entry.queue = this;
    entry.older = after;
    entry.newer = after === null ? this.#oldest : after.newer;
    if (entry.older === null) this.#oldest = entry;
    else entry.older.newer = entry;
    if (entry.newer === null) this.#newest = entry;
    else entry.newer.older = entry;
    this.size++;
    this.bytes += entry.heldBytes;
    if (this.#timer === null || this.#oldest === entry) this.#arm();
  }

  remove(entry: HeldEntry): void {
    if (entry.queue !== this) return;
    if (entry.older === null) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    if (entry.newer === null) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    entry.queue = null;
    entry.older = null;
    entry.newer = null;
    this.size--;
    this.bytes -= entry.heldBytes;
    if (this.size === 0 && this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
  }

  takeOldest(): HeldEntry | null {
    const entry = this.#oldest;
    if (entry !== null) this.remove(entry);
    return entry;
  }

  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#oldest === null) return;
    const dueMs = this.#oldest.arrivedAt + this.#holdTimeoutMs - performance.now();
    this.#timer = setTimeout(() => this.#expire(), Math.max(1, dueMs));
  }

  #expire(): void {
    this.#timer = null;
    const now = performance.now();
    while (this.#oldest !== null && this.#oldest.arrivedAt + this.#holdTimeoutMs <= now) {
      const entry = this.#oldest;
      this.remove(entry);
      this.#expired(entry);
    }
    this.#arm();
  }
}
