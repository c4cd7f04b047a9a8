/**
 * Simulated time for all of a process' code: timers, turns, sleeps and clocks. Events happen one after the other, each with everything that follows from it
 * at once; between two of them time jumps. What an event starts belongs to whom the event belongs to, so that one simulated process can be frozen,
 * or be gone, and the others go on.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { Random } from '../../e2e/chaos/random.ts';

const require = createRequire(import.meta.url);

/** A simulated process. */
export class Owner {
  readonly name: string;
  state: 'runs' | 'frozen' | 'gone' = 'runs';
  /** How far its wall clock is ahead of the others. */
  wallShiftMs = 0;
  /** What is to happen once it runs again. */
  backlog: (() => void)[] = [];

  constructor(name: string) {
    this.name = name;
  }
}

/** Node's own, from before time was simulated. */
const nextRealTurn = setImmediate;

interface Event {
  readonly at: number;
  readonly order: number;
  readonly owner: Owner;
  run: (() => void) | null;
}

/** Each event takes a little time: loops that wait for time to pass end. */
const EVENT_MS = 0.002;
export const WALL_MS = 1_750_000_000_000;

class Timer {
  event: Event;
  readonly #clock: SimulatedClock;
  readonly #ms: number;
  readonly #work: () => void;

  constructor(clock: SimulatedClock, ms: number, work: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#work = work;
    this.event = clock.in(ms, work);
  }

  refresh(): this {
    this.close();
    this.event = this.#clock.in(this.#ms, this.#work);
    return this;
  }

  close(): this {
    this.event.run = null;
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

export class SimulatedClock {
  /** Milliseconds, as performance.now() says it. */
  now = 1_000;
  events = 0;
  random = new Random(1);
  #order = 0;
  #heap: Event[] = [];
  readonly #nobody = new Owner('nobody');
  #owner = this.#nobody;

  get owner(): Owner {
    return this.#owner;
  }

  /** All over again, with the same numbers for the same seed. */
  reset(seed: number): void {
    this.now = 1_000;
    this.#order = 0;
    this.#heap = [];
    this.#owner = this.#nobody;
    this.random = new Random(seed);
  }

  in(ms: number, run: () => void, owner = this.#owner): Event {
    const event: Event = { at: this.now + Math.max(0, ms), order: this.#order++, owner, run };
    this.#push(event);
    return event;
  }

  /** An event of `owner`, in a moment. Resolves with what `work` promises. */
  does<T>(owner: Owner, work: () => T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.in(0, () => void Promise.resolve().then(work).then(resolve, reject), owner);
    });
  }

  thaw(owner: Owner): void {
    if (owner.state !== 'frozen') return;
    owner.state = 'runs';
    for (const run of owner.backlog.splice(0)) this.in(0, run, owner);
  }

  /**
   * Goes on until `until`, or to the first event at which `done` says so, within a turn of its own: what was promised can only be settled
   * outside of a promise. Rejects with what an event throws.
   */
  run(until: number, done: () => boolean = () => false): Promise<void> {
    return new Promise((resolve, reject) => {
      nextRealTurn(() => {
        try {
          this.#run(until, done);
          resolve();
        } catch (error) {
          reject(error as Error);
        }
      });
    });
  }

  #run(until: number, done: () => boolean): void {
    for (let event = this.#heap[0]; event !== undefined && event.at <= until && !done(); event = this.#heap[0]) {
      this.#pop();
      if (event.run === null || event.owner.state === 'gone') continue;
      this.now = Math.max(this.now + EVENT_MS, event.at);
      if (event.owner.state === 'frozen') {
        const late = event;
        event.owner.backlog.push(() => late.run?.());
        continue;
      }
      this.events++;
      this.#owner = event.owner;
      event.run();
      settle();
    }
    this.#owner = this.#nobody;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (isBefore(heap[above] as Event, event)) break;
      heap[at] = heap[above] as Event;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let next = 2 * at + 1;
      if (next >= heap.length) break;
      if (next + 1 < heap.length && isBefore(heap[next + 1] as Event, heap[next] as Event)) next++;
      if (isBefore(last, heap[next] as Event)) break;
      heap[at] = heap[next] as Event;
      at = next;
    }
    heap[at] = last;
  }

  /** From now on everything in this process that asks for time asks here. Before the code that is to be simulated is loaded. */
  install(): void {
    const timers = require('node:timers') as Record<string, unknown>;
    const promises = require('node:timers/promises') as Record<string, unknown>;
    const later =
      (repeats: boolean) =>
      (work: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): Timer => {
        const timer: Timer = new Timer(this, Math.max(repeats ? 1 : 0, Number(ms) || 0), () => {
          if (repeats) timer.refresh();
          work(...args);
        });
        return timer;
      };
    const cancel = (timer?: Timer | null): void => {
      // Others belong to Node itself.
      if (timer instanceof Timer) timer.close();
    };
    const immediate = (work: (...args: unknown[]) => void, ...args: unknown[]): Timer => new Timer(this, 0, () => work(...args));
    const all = { setTimeout: later(false), setInterval: later(true), setImmediate: immediate };
    const cancels = { clearTimeout: cancel, clearInterval: cancel, clearImmediate: cancel };
    Object.assign(globalThis, all, cancels);
    Object.assign(timers, all, cancels);
    promises.setTimeout = (ms: number, value: unknown, options: { signal?: AbortSignal } = {}) => this.#sleep(ms, value, options.signal);
    promises.setImmediate = (value: unknown, options: { signal?: AbortSignal } = {}) => this.#sleep(0, value, options.signal);
    performance.now = () => this.now;
    Date.now = () => Math.floor(WALL_MS + this.now + this.#owner.wallShiftMs);
    Math.random = () => this.random.next();
    AbortSignal.timeout = (ms: number): AbortSignal => {
      const controller = new AbortController();
      this.in(ms, () => controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')));
      return controller.signal;
    };
    syncBuiltinESMExports();
  }

  #sleep(ms: number, value: unknown, signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        event.run = null;
        reject(new DOMException('The operation was aborted', 'AbortError'));
      };
      const event = this.in(ms, () => {
        signal?.removeEventListener('abort', aborted);
        resolve(value);
      });
      if (signal?.aborted === true) aborted();
      else signal?.addEventListener('abort', aborted, { once: true });
    });
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** All that was promised, and all that is due in the next tick, happens now. */
const settle = (process as unknown as { _tickCallback: () => void })._tickCallback;
