/** Honest clients at a steady rate, whatever happens beside them. Every request is accounted for. */
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from '../../support/clients.ts';
import { PacedLoad, percentile } from '../../support/paced-load.ts';
import { type Ports, Tenant } from './place.ts';

const TICK_MS = 20;
const COLD_EVERY_MS = 8_000;
/** How many requests a session has. Then comes another one, as a browser's next visit. */
const SESSION_REQUESTS = 200;
const HTTP2_TIMEOUT_MS = 30_000;

/** `between`: strikes of a siege are still under way in its truce; not counted. */
export type Phase = 'before' | 'siege' | 'between' | 'truce' | 'after';

export interface HonestFigures {
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export class Honest {
  readonly failures: string[] = [];
  readonly #http1: PacedLoad;
  readonly #http2: Http2Load;
  readonly #cold: Promise<void>;
  readonly #times = new Map<Phase, number[]>();
  readonly #coldTimes: number[] = [];
  readonly #stop = new AbortController();
  #phase: Phase = 'before';

  /** Two thirds of `perSecond` come by HTTP/1.1 in the clear, one third by HTTP/2 and TLS. Begins at once. */
  constructor(ports: Ports, perSecond: number) {
    const targets = ports.http.map((port) => ({ port }));
    this.#http1 = new PacedLoad({ targets, host: Tenant.WEB, perSecond: (perSecond * 2) / 3 });
    this.#http2 = new Http2Load(ports.https, perSecond / 3, (what) => this.failures.push(what));
    this.#cold = this.#startAgain(ports);
  }

  /** From now on times belong to this phase. */
  enter(phase: Phase): void {
    this.#take();
    this.#phase = phase;
  }

  /** What was measured so far does not count: nothing was warm. Failures do. */
  drop(): void {
    this.#take();
    this.#times.clear();
  }

  figures(phase: Phase): HonestFigures {
    this.#take();
    const times = this.#times.get(phase) ?? [];
    const round = (ms: number): number => Math.round(ms * 10) / 10;
    return {
      requests: times.length,
      p50Ms: round(percentile(times, 50)),
      p99Ms: round(percentile(times, 99)),
      maxMs: round(percentile(times, 100)),
    };
  }

  get coldStarts(): HonestFigures {
    const [p50Ms, p99Ms, maxMs] = [50, 99, 100].map((p) => Math.round(percentile(this.#coldTimes, p))) as [number, number, number];
    return { requests: this.#coldTimes.length, p50Ms, p99Ms, maxMs };
  }

  /** Resolves when every request is accounted for. */
  async stop(): Promise<void> {
    this.#stop.abort();
    const { failures } = await this.#http1.stop();
    this.failures.push(...failures.map(({ why, node }) => `HTTP/1.1 at node ${node}: ${why}`));
    await this.#http2.stop();
    await this.#cold;
    this.#take();
  }

  #take(): void {
    const times = this.#times.get(this.#phase) ?? [];
    times.push(...this.#http1.takeTimes(), ...this.#http2.takeTimes());
    this.#times.set(this.#phase, times);
  }

  /** A tenant that is started from zero each time: its instance has left when the next client comes. */
  async #startAgain({ http }: Ports): Promise<void> {
    for (let i = 0; !this.#stop.signal.aborted; i++) {
      const began = performance.now();
      const url = `http://127.0.0.1:${http[i % http.length]}`;
      const answer = await ask(url, { host: Tenant.COLD, path: '/' }).catch((error: Error) => ({ status: error.message, headers: {} }));
      if (answer.status === 200) this.#coldTimes.push(performance.now() - began);
      else this.failures.push(`cold start: ${answer.status} ${JSON.stringify(answer.headers)}`);
      await delay(COLD_EVERY_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }
}

class Http2Load {
  readonly #ports: readonly number[];
  readonly #failed: (what: string) => void;
  readonly #sessions = new Map<number, { readonly session: ClientHttp2Session; requests: number }>();
  readonly #open = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #times: number[] = [];
  #sent = 0;

  constructor(ports: readonly number[], perSecond: number, failed: (what: string) => void) {
    this.#ports = ports;
    this.#failed = failed;
    const began = performance.now();
    this.#timer = setInterval(() => {
      const due = ((performance.now() - began) / 1_000) * perSecond;
      while (this.#sent < due) this.#send(this.#sent++);
    }, TICK_MS);
  }

  takeTimes(): number[] {
    const times = this.#times;
    this.#times = [];
    return times;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
    for (const { session } of this.#sessions.values()) session.destroy();
  }

  #send(i: number): void {
    const port = this.#ports[i % this.#ports.length] as number;
    const began = performance.now();
    const one = this.#ask(port, `h${i}`)
      .then((why) => {
        if (why !== null) this.#failed(`HTTP/2 at port ${port}: ${why}`);
        this.#times.push(performance.now() - began);
      })
      .finally(() => this.#open.delete(one));
    this.#open.add(one);
  }

  /** Null: answered as it should be. */
  #ask(port: number, id: string): Promise<string | null> {
    const post = id.endsWith('5');
    const fields = { ':authority': Tenant.WEB, ':path': '/id?ms=3', ':method': post ? 'POST' : 'GET', 'x-request-id': id };
    return new Promise((resolve) => {
      const stream = this.#session(port).request(fields);
      let [status, body] = [0, ''];
      const late = setTimeout(() => stream.destroy(new Error('no answer')), HTTP2_TIMEOUT_MS);
      stream.on('response', (headers) => {
        status = Number(headers[':status']);
        if (status !== 200) body = String(headers['proxy-status'] ?? '');
      });
      stream.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      stream.on('error', (error) => resolve(error.message));
      stream.on('close', () => {
        clearTimeout(late);
        resolve(status === 200 && body === id ? null : `${fields[':method']} ${id}: ${status} ${body} (${stream.rstCode})`);
      });
      stream.end(post ? 'x' : undefined);
    });
  }

  #session(port: number): ClientHttp2Session {
    const known = this.#sessions.get(port);
    if (known !== undefined && known.requests++ < SESSION_REQUESTS && !known.session.closed) return known.session;
    known?.session.close();
    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false, servername: Tenant.WEB });
    session.on('error', () => {});
    this.#sessions.set(port, { session, requests: 1 });
    return session;
  }
}
