/** The search for a home node: every address of every proxy in random order, staggered, round after round, until one is linked. */
import { setTimeout as sleep } from 'node:timers/promises';
import { unawaited } from '../boundary.ts';
import { formatHostPort, type HostPort } from '../config/host-port.ts';
import { describeAddress, type Lookup, type NodeAddress, resolveAddresses } from './dial.ts';
import { race } from './race.ts';

const BACKOFF_MS_MIN = 50;
const BACKOFF_MS_MAX = 5_000;
const TARGET_TIMEOUT_MS = 2_000;
/** A home that was lost sooner does not count as found: the search goes on as slowly as it was. */
const SETTLED_AFTER_MS = 1_000;

export interface HomeSearchOptions {
  readonly proxies: readonly HostPort[];
  readonly lookup?: Lookup;
  /** @throws when there is no link within the signal's time. */
  readonly dial: (target: NodeAddress, signal: AbortSignal) => Promise<unknown>;
  /** A home is there, found by this search or otherwise. */
  readonly found: () => boolean;
  readonly failed: (address: string, error: unknown) => void;
  readonly signal: AbortSignal;
  readonly random: () => number;
}

/** How long to wait after the `rounds`th round without a home: exponential, and jittered so that linkers do not come back all at once. */
export function backoffMs(rounds: number, random: () => number): number {
  return Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(rounds - 1, 20)) * (0.5 + random() / 2);
}

export class HomeSearch {
  readonly #options: HomeSearchOptions;
  #state: 'resting' | 'searching' = 'resting';
  #rounds = 0;

  constructor(options: HomeSearchOptions) {
    this.#options = options;
  }

  /** A home that was up for `upMs` is lost, or leaves. */
  lost(upMs: number): void {
    if (upMs >= SETTLED_AFTER_MS) this.#rounds = 0;
  }

  /** Returns at once; the search ends when a home is found, or with the signal. */
  begin(): void {
    if (this.#state === 'searching') return;
    this.#state = 'searching';
    const searched = this.#search().finally(() => {
      this.#state = 'resting';
      // Lost again between the last look and this turn.
      if (!this.#over()) this.begin();
    });
    unawaited('link', searched);
  }

  async #search(): Promise<void> {
    const { signal, random } = this.#options;
    while (!this.#over()) {
      // The first round is not waited for, unless homes come and go.
      if (this.#rounds > 0) await sleep(backoffMs(this.#rounds, random), undefined, { signal }).catch(() => {});
      this.#rounds++;
      await this.#raceThrough(await this.#targets());
    }
  }

  async #raceThrough(targets: readonly NodeAddress[]): Promise<void> {
    const { dial, failed, signal } = this.#options;
    const said = (target: NodeAddress, error: unknown): void => failed(describeAddress(target), error);
    const isOver = (): boolean => this.#over();
    // The failure was logged already.
    await race({ targets, attempt: dial, timeoutMs: TARGET_TIMEOUT_MS, failed: said, isOver, signal }).catch(() => null);
  }

  #over(): boolean {
    return this.#options.signal.aborted || this.#options.found();
  }

  async #targets(): Promise<NodeAddress[]> {
    const { proxies, lookup, failed, signal, random } = this.#options;
    const found = await Promise.all(
      proxies.map((proxy) =>
        resolveAddresses(proxy, signal, lookup).catch((error: unknown) => {
          if (!signal.aborted) failed(formatHostPort(proxy), error);
          return [];
        }),
      ),
    );
    return shuffled(found.flat(), random);
  }
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}
