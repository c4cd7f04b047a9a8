/**
 * Finds out when the application is ready: when it accepts connections, the only sign that every application gives, or when it
 * answers a request for its ready path with 2xx.
 */
import { connect, type Socket } from 'node:net';
import { guard } from '../boundary.ts';
import type { HostPort } from '../config/host-port.ts';
import { isSelfConnected } from './self-connected.ts';

const CONNECT_TIMEOUT_MS = 2_000;
/** An application that accepts and is not ready is not asked as often as one that does not accept. */
const NOT_READY_PAUSE_MS = 50;
/** Only the status line of a response is read. */
const STATUS_LINE = /^HTTP\/1\.[01] (\d{3})[ \r\n]/;
const STATUS_LINE_BYTES_MAX = 1_024;
/** A probe sends nothing, so the watch does not wait for an application that does not notice its end. */
const PROBE_CLOSE_TIMEOUT_MS = 1_000;

export interface AcceptWatchOptions {
  /** Tried in turn; which of them the application binds is its own choice. */
  readonly candidates: readonly HostPort[];
  /** The request that the application answers with 2xx when it is ready; without it, accepting is enough. */
  readonly readyRequest?: string | undefined;
  /** The first bytes of each probe. */
  readonly opening?: Buffer | undefined;
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
  /** The last one was accepted, and the application was not ready. */
  #accepted = false;
  /** The application has accepted a connection, and was not ready. */
  hasAccepted = false;
  #timer: NodeJS.Timeout | null = null;
  #probe: Socket | null = null;

  constructor(options: AcceptWatchOptions) {
    this.#options = options;
  }

  /** Tries until the application accepts, with at most one attempt at a time. */
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
    const connected = guard('application', () => {
      if (isSelfConnected(probe)) {
        probe.destroy();
        return;
      }
      if (this.#options.opening !== undefined) probe.write(this.#options.opening);
      if (this.#options.readyRequest === undefined) this.#found(probe);
      else this.#ask(probe, this.#options.readyRequest);
    });
    const closed = guard('application', () => {
      clearTimeout(overdue);
      this.#probe = null;
      release();
      if (this.#state === 'looking') this.#later();
    });
    probe.once('connect', connected);
    probe.on('error', () => {});
    probe.once('close', closed);
  }

  #ask(probe: Socket, request: string): void {
    this.#accepted = true;
    this.hasAccepted = true;
    let answer = '';
    const read = guard('application', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      const status = STATUS_LINE.exec(answer)?.[1];
      if (status === undefined && answer.length < STATUS_LINE_BYTES_MAX) return;
      probe.off('data', read);
      if (status?.startsWith('2')) this.#found(probe);
      else probe.destroy();
    });
    probe.on('data', read);
    probe.write(request);
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
    const waitMs = this.#attempts % candidates.length === 0 ? pauseMs(round) : 0;
    const again = guard('timer', () => this.#try());
    this.#timer = setTimeout(again, this.#accepted ? Math.max(waitMs, NOT_READY_PAUSE_MS) : waitMs);
    this.#accepted = false;
  }
}
