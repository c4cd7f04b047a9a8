/**
 * Clients that come at a rate, whatever becomes of those before, wait for two seconds and leave. Honest ones ask once. Those of a storm ask again at
 * once when nothing came, and after a moment when they were refused, whatever `Retry-After` says.
 */
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const PATIENCE_MS = 2_000;
const STORM_TRIES = 3;
const AFTER_REFUSAL_MS = 100;
const TICK_MS = 5;

export type Kind = 'honest' | 'storm';
type Outcome = 'served' | 'left' | 'refused';

/** One request; times are ms since the load began. */
export interface Asked {
  readonly kind: Kind;
  readonly atMs: number;
  readonly outcome: Outcome;
  readonly tookMs: number;
}

export class Clients {
  readonly asked: Asked[] = [];
  readonly #ports: readonly number[];
  readonly #request: Buffer;
  readonly #from = performance.now();
  readonly #open = new Set<Promise<void>>();
  #next = 0;

  /** `addresses`: HOST:PORT, asked by turns. */
  constructor(addresses: readonly string[], host: string) {
    this.#ports = addresses.map((address) => Number(address.split(':').at(-1)));
    this.#request = Buffer.from(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  }

  get nowMs(): number {
    return performance.now() - this.#from;
  }

  /** So many a second, for so long. Returns when the last one has come, not when it has gone. */
  async come(kind: Kind, perSecond: number, seconds: number): Promise<void> {
    const from = this.nowMs;
    let sent = 0;
    for (let now = from; now < from + seconds * 1_000; now = this.nowMs) {
      for (const due = ((now - from) * perSecond) / 1_000; sent < due; sent++) {
        const one = this.#client(kind).finally(() => this.#open.delete(one));
        this.#open.add(one);
      }
      await pause(TICK_MS);
    }
  }

  async allGone(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(this.#open);
  }

  async #client(kind: Kind): Promise<void> {
    for (let tries = kind === 'storm' ? STORM_TRIES : 1; tries > 0; tries--) {
      const atMs = this.nowMs;
      const outcome = await this.#ask();
      this.asked.push({ kind, atMs, outcome, tookMs: this.nowMs - atMs });
      if (outcome === 'served') return;
      if (outcome === 'refused') await pause(AFTER_REFUSAL_MS);
    }
  }

  #ask(): Promise<Outcome> {
    const port = this.#ports[this.#next++ % this.#ports.length] as number;
    return new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true });
      const over = (outcome: Outcome): void => {
        clearTimeout(timer);
        socket.destroy();
        resolve(outcome);
      };
      let timer: NodeJS.Timeout | undefined;
      // This process may be late, too: a client that left as soon as it has asked would be another storm.
      socket.once('connect', () => {
        timer = setTimeout(() => over('left'), PATIENCE_MS);
      });
      socket.on('error', () => over('refused'));
      socket.on('close', () => over('refused'));
      socket.on('data', (chunk: Buffer) => over(chunk.toString('latin1', 0, 12) === 'HTTP/1.1 200' ? 'served' : 'refused'));
      socket.write(this.#request);
    });
  }
}
