/**
 * While a node leaves, clients use up the connections that they have kept, since each response there is the last one. Idle ones end when nobody
 * has asked for the first time, and at the latest after the second: a client that asks at the very moment would have to ask again.
 */
const QUIET_MS = 1_000;
const ASKED_MS_MAX = 10_000;
const POLL_MS = 20;

/**
 * `leaving`: load balancers should notice, and send no more clients; until then clients are served. `draining`: nobody new is let in.
 * `stopped`: everything is closed.
 */
const STATES = ['serving', 'leaving', 'draining', 'stopped'] as const;

type State = (typeof STATES)[number];

/** A node's way out: how far it is, how long it stays, and for whom. Times are performance.now(). */
export class Leaving {
  #state: State = 'serving';
  /** Since when it drains. */
  #since: number | null = null;
  #askedAt = 0;

  get state(): State {
    return this.#state;
  }

  /** It has been said that the node leaves. */
  get isSaid(): boolean {
    return this.#state !== 'serving';
  }

  /** No new client is accepted. */
  get hasBegun(): boolean {
    return this.#state === 'draining' || this.#state === 'stopped';
  }

  /** Returns false when it is there already, or further: there is no way back. */
  goOn(to: Exclude<State, 'serving'>): boolean {
    if (STATES.indexOf(to) <= STATES.indexOf(this.#state)) return false;
    this.#state = to;
    if (to === 'draining') this.#since = performance.now();
    return true;
  }

  /** A client has sent a request. */
  asked(): void {
    if (this.#since !== null) this.#askedAt = performance.now();
  }

  /** Clients still ask on connections that they have kept: idle ones stay a moment longer. */
  isAsked(now: number): boolean {
    return this.#since !== null && now - this.#askedAt < QUIET_MS && now - this.#since < ASKED_MS_MAX;
  }

  /** Waits for the condition, at most for this time. */
  async until(condition: () => boolean, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!condition() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
