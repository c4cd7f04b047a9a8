/** Clients that ask all the time, in waves, and write down what they asked and what became of it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../../e2e/chaos/random.ts';
import type { Recorder } from '../events.ts';
import { type Answer, Connection } from './connection.ts';
import { type RouteSpec, servedName } from './routes.ts';

/** A request that got neither an answer nor a broken connection by then is lost. */
const LOST_AFTER_MS = 90_000;
/** A crowd comes and goes: how long a wave is, which part of it is its top, and for how long a client thinks at most between two requests. */
export interface Pace {
  readonly waveMs: number;
  readonly topShare: number;
  readonly thinkMsMax: { readonly top: number; readonly bottom: number };
  /** How long the application works at most. */
  readonly serviceMsMax: number;
}

export const EVENLY: Pace = { waveMs: 9_000, topShare: 0.6, thinkMsMax: { top: 10, bottom: 400 }, serviceMsMax: 40 };
/** Some clients go before they have their answer, and some applications work on all the same. */
const LEAVES = { share: 0.04, afterMsMax: 60 };
const WORKS_ON_SHARE = 0.3;
const TENANTS = ['a', 'a', 'a', 'b', 'c'];

export interface ClientsOptions {
  readonly file: Recorder;
  readonly random: Random;
  readonly routes: readonly RouteSpec[];
  /** One for each node. */
  readonly nodes: readonly { readonly id: string; readonly port: number }[];
  readonly pace?: Pace;
}

interface Request {
  readonly route: RouteSpec;
  /** Which of the instances of its route it is for, where these have keys. */
  readonly key: string | null;
  readonly node: number;
  readonly post: boolean;
  readonly ms: number;
  readonly tenant: string;
  readonly urgency: number;
  /** The client goes after this time. */
  readonly leavesMs: number | null;
  /** The application does not notice that its client has gone. */
  readonly worksOn: boolean;
}

export class Clients {
  sent = 0;
  answered = 0;
  /** Requests without an answer so far. */
  waiting = 0;
  readonly #options: ClientsOptions;
  readonly #pace: Pace;
  readonly #began = performance.now();
  #running = true;

  constructor(options: ClientsOptions) {
    this.#options = options;
    this.#pace = options.pace ?? EVENLY;
  }

  /** Resolves when all have had their last answer. */
  async run(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, (_, i) => this.#client(i)));
  }

  stop(): void {
    this.#running = false;
  }

  async #client(i: number): Promise<void> {
    const { random, routes, nodes } = this.#options;
    const connections = new Map<number, Connection>();
    // A client has its application and its tenant for good, as people do.
    const route = routes[i % routes.length] as RouteSpec;
    const tenant = TENANTS[Math.floor(i / routes.length) % TENANTS.length] as string;
    while (this.#running) {
      const node = Math.floor(random.next() * nodes.length);
      const request: Request = {
        route,
        node,
        key: route.keys === undefined ? null : random.pick(route.keys),
        post: random.next() < 0.4,
        ms: Math.floor(random.between(0, this.#pace.serviceMsMax)),
        tenant,
        urgency: random.next() < 0.2 ? 1 : 3,
        leavesMs: random.next() < LEAVES.share ? random.between(0, LEAVES.afterMsMax) : null,
        worksOn: random.next() < WORKS_ON_SHARE,
      };
      const answer = await this.#ask(connections, request);
      await delay(answer.why === 'ECONNREFUSED' ? 100 : random.between(0, this.#thinkMsMax));
    }
    for (const connection of connections.values()) connection.close();
  }

  get #thinkMsMax(): number {
    const { waveMs, topShare, thinkMsMax } = this.#pace;
    const phase = ((performance.now() - this.#began) % waveMs) / waveMs;
    return phase < topShare ? thinkMsMax.top : thinkMsMax.bottom;
  }

  async #ask(connections: Map<number, Connection>, request: Request): Promise<Answer> {
    const { route, key, node, post, ms, tenant, urgency, leavesMs, worksOn } = request;
    const { file, nodes } = this.#options;
    const place = nodes[node] as { id: string; port: number };
    const id = `r${this.sent++}`;
    const method = post ? 'POST' : 'GET';
    const lines = [
      `${method} /?ms=${ms}${worksOn ? '&on' : ''} HTTP/1.1`,
      `host: ${route.name}`,
      `x-request-id: ${id}`,
      `content-length: ${post ? 5 : 0}`,
    ];
    if (route.fair) lines.push(`x-tenant: ${tenant}`, `x-urgency: ${urgency}`);
    if (key !== null) lines.push(`x-key: ${key}`);
    let connection = connections.get(node);
    const isKept = connection?.isOpen === true;
    if (connection === undefined || !isKept) {
      connection = new Connection(place.port);
      connections.set(node, connection);
    }
    file.add({ e: 'send', id, node: place.id, route: servedName(route.name, key), method, ...(route.fair ? { tenant, urgency } : {}) });
    const one = connection;
    this.waiting++;
    const lost = setTimeout(() => one.giveUp(leavesMs === null ? 'lost' : 'left'), leavesMs ?? LOST_AFTER_MS);
    const answer = await one.ask(`${lines.join('\r\n')}\r\n\r\n${post ? 'hello' : ''}`);
    clearTimeout(lost);
    this.waiting--;
    this.#note(id, answer, isKept);
    return answer;
  }

  #note(id: string, { status, headers, body, why, begun }: Answer, isKept: boolean): void {
    if (status === 200) this.answered++;
    const instance = headers.get('x-instance');
    const reason = why === null ? headers.get('proxy-status') : isKept && !begun && why !== 'left' && why !== 'lost' ? `kept ${why}` : why;
    this.#options.file.add({
      e: 'got',
      id,
      status,
      ...(status === 200 ? { body } : {}),
      ...(instance === undefined ? {} : { instance }),
      ...(reason === undefined ? {} : { why: reason }),
      ...(status === 0 && begun ? { begun } : {}),
    });
  }
}
