/** Clients that come at a steady rate, however long answers take: what a public service sees. Every request is accounted for. */
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const TICK_MS = 10;
/** A request that got neither an answer nor a broken connection by then is lost. */
const LOST_AFTER_MS = 60_000;

export interface LoadTarget {
  readonly port: number;
}

export interface LoadFailure {
  readonly node: number;
  /** performance.now() in ms. */
  readonly from: number;
  readonly until: number;
  readonly why: string;
}

export interface LoadReport {
  readonly sent: number;
  readonly answered: number;
  /** A node did not listen, and the client went on to the next address, as with several addresses of one name. */
  readonly wentOn: number;
  readonly lost: number;
  readonly failures: readonly LoadFailure[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface LoadOptions {
  readonly targets: readonly LoadTarget[];
  readonly host: string;
  readonly perSecond: number;
  readonly path?: string;
}

export class PacedLoad {
  readonly #options: LoadOptions;
  readonly #agents: readonly Agent[];
  readonly #failures: LoadFailure[] = [];
  #times: number[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #sent = 0;
  #answered = 0;
  #wentOn = 0;
  #lost = 0;
  #running = true;
  readonly #run: Promise<void>;

  /** Begins at once. */
  constructor(options: LoadOptions) {
    this.#options = options;
    this.#agents = options.targets.map(() => new Agent({ keepAlive: true, maxSockets: 1_000 }));
    this.#run = this.#ask();
  }

  get answered(): number {
    return this.#answered;
  }

  /** The times of the answers since the last call, in ms. */
  takeTimes(): number[] {
    const times = this.#times;
    this.#times = [];
    return times;
  }

  /** Sends no more, and resolves when all that were sent are accounted for. */
  async stop(): Promise<LoadReport> {
    this.#running = false;
    await this.#run;
    await Promise.all(this.#underWay);
    for (const agent of this.#agents) agent.destroy();
    return {
      sent: this.#sent,
      answered: this.#answered,
      wentOn: this.#wentOn,
      lost: this.#lost,
      failures: this.#failures,
      p50Ms: percentile(this.#times, 50),
      p99Ms: percentile(this.#times, 99),
      maxMs: percentile(this.#times, 100),
    };
  }

  async #ask(): Promise<void> {
    const began = performance.now();
    while (this.#running) {
      const due = Math.floor(((performance.now() - began) / 1_000) * this.#options.perSecond);
      while (this.#sent < due) {
        const one = this.#one(this.#sent++);
        this.#underWay.add(one);
        void one.finally(() => this.#underWay.delete(one));
      }
      await delay(TICK_MS);
    }
  }

  async #one(i: number): Promise<void> {
    const { targets } = this.#options;
    const from = performance.now();
    for (let hop = 0; hop < targets.length; hop++) {
      const node = (i + hop) % targets.length;
      const why = await this.#send(i, node);
      if (why === 'ECONNREFUSED') {
        this.#wentOn++;
        continue;
      }
      const until = performance.now();
      if (why === null) this.#answered++;
      else this.#failures.push({ node, from, until, why });
      this.#times.push(until - from);
      return;
    }
    this.#failures.push({ node: -1, from, until: performance.now(), why: 'nobody listens' });
  }

  /** Null: answered as it should be. Every third is a request that nobody may send a second time. */
  #send(i: number, node: number): Promise<string | null> {
    const { targets, host, path = '/id?ms=3' } = this.#options;
    const id = `s${i}`;
    const post = i % 3 === 0;
    return new Promise((resolve) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          port: targets[node]?.port,
          path,
          method: post ? 'POST' : 'GET',
          headers: { host, 'x-request-id': id },
          agent: this.#agents[node],
        },
        (incoming) => {
          let body = '';
          incoming.setEncoding('utf8').on('data', (text: string) => {
            body += text;
          });
          incoming.once('error', (error) => resolve(`broken answer: ${error.message}`));
          incoming.once('end', () => {
            const { statusCode, headers } = incoming;
            if (statusCode === 200) resolve(body === id ? null : `an answer that is another's: ${body}`);
            else resolve(`${statusCode} ${String(headers['proxy-status'] ?? body)}`);
          });
          incoming.once('close', () => clearTimeout(lost));
        },
      );
      const lost = setTimeout(() => {
        this.#lost++;
        outgoing.destroy(new Error('lost'));
      }, LOST_AFTER_MS);
      outgoing.once('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(lost);
        resolve(`${error.code ?? error.message}${outgoing.reusedSocket ? ' on a kept connection' : ''}`);
      });
      outgoing.end(post ? 'x' : undefined);
    });
  }
}

export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))] ?? 0;
}
