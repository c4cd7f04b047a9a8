/** Clients that ask all the time, in waves, and write down what they asked and what became of it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../../e2e/chaos/random.ts';
import type { Recorder } from '../events.ts';
import { type Answer, Connection } from './connection.ts';
import type { RouteSpec } from './world.ts';

/** A request that got neither an answer nor a broken connection by then is lost. */
const LOST_AFTER_MS = 90_000;
/** A crowd comes and goes: so long is a wave, and so long a client thinks at its top and at its bottom. */
const WAVE_MS = 9_000;
const THINK_MS_MAX = { top: 10, bottom: 400 };
const SERVICE_MS_MAX = 40;
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
}

interface Request {
  readonly route: RouteSpec;
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
  readonly #began = performance.now();
  #running = true;

  constructor(options: ClientsOptions) {
    this.#options = options;
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
        post: random.next() < 0.4,
        ms: Math.floor(random.between(0, SERVICE_MS_MAX)),
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
    const phase = ((performance.now() - this.#began) % WAVE_MS) / WAVE_MS;
    return phase < 0.6 ? THINK_MS_MAX.top : THINK_MS_MAX.bottom;
  }

  async #ask(connections: Map<number, Connection>, request: Request): Promise<Answer> {
    const { route, node, post, ms, tenant, urgency, leavesMs, worksOn } = request;
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
    let connection = connections.get(node);
    const isKept = connection?.isOpen === true;
    if (connection === undefined || !isKept) {
      connection = new Connection(place.port);
      connections.set(node, connection);
    }
    file.add({ e: 'send', id, node: place.id, route: route.name, method, ...(route.fair ? { tenant, urgency } : {}) });
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
