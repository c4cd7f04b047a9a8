/** Finds out when the application accepts connections, by connecting: the only sign that every application gives. */
import { connect, type Socket } from 'node:net';
import type { HostPort } from '../config/host-port.ts';
import { isSelfConnected } from './app-connection.ts';

const CONNECT_TIMEOUT_MS = 2_000;
/** A probe has nothing to say: an application that does not notice its end is not waited for. */
const PROBE_CLOSE_TIMEOUT_MS = 1_000;

export interface AcceptWatchOptions {
  /** Tried in turn; which of them the application binds is its own choice. */
  readonly candidates: readonly HostPort[];
  /** A probe is a connection that the application sees: it needs a place among the others. */
  readonly reserve: () => (() => void) | null;
  /** How long to wait after the `round`th time that no candidate accepted. */
  readonly pauseMs: (round: number) => number;
  /** With the address that was really reached. */
  readonly accepts: (address: HostPort) => void;
}

type WatchState = 'resting' | 'looking' | 'stopped';

export class AcceptWatch {
  readonly #options: AcceptWatchOptions;
  #state: WatchState = 'resting';
  #attempts = 0;
  #timer: NodeJS.Timeout | null = null;
  #probe: Socket | null = null;

  constructor(options: AcceptWatchOptions) {
    this.#options = options;
  }

  /** Looks until the application accepts, with one attempt in flight at most. */
  look(): void {
    if (this.#state !== 'resting') return;
    this.#state = 'looking';
    this.#attempts = 0;
    if (this.#probe === null) this.#try();
  }

  stop(): void {
    this.#state = 'stopped';
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#probe?.destroy();
  }

  #try(): void {
    const { candidates, reserve } = this.#options;
    const release = reserve();
    if (release === null) {
      this.#later();
      return;
    }
    const { host, port } = candidates[this.#attempts % candidates.length] as HostPort;
    const probe = connect({ host, port, noDelay: true });
    const overdue = setTimeout(() => probe.destroy(), CONNECT_TIMEOUT_MS);
    this.#probe = probe;
    probe.once('connect', () => {
      if (isSelfConnected(probe)) probe.destroy();
      else this.#found(probe);
    });
    probe.on('error', () => {});
    probe.once('close', () => {
      clearTimeout(overdue);
      this.#probe = null;
      release();
      if (this.#state === 'looking') this.#later();
    });
  }

  #found(probe: Socket): void {
    const overdue = setTimeout(() => probe.destroy(), PROBE_CLOSE_TIMEOUT_MS);
    probe.once('close', () => clearTimeout(overdue));
    probe.resume();
    probe.end();
    if (this.#state !== 'looking') return;
    this.#state = 'resting';
    this.#options.accepts({ host: probe.remoteAddress as string, port: probe.remotePort as number });
  }

  #later(): void {
    this.#attempts++;
    const { candidates, pauseMs } = this.#options;
    const round = Math.floor(this.#attempts / candidates.length);
    this.#timer = setTimeout(() => this.#try(), this.#attempts % candidates.length === 0 ? pauseMs(round) : 0);
  }
}
