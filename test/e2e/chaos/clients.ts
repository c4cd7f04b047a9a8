/** Clients that ask all the time and count what becomes of each request. */
import { Agent, type ClientRequest, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from './random.ts';
import { ROUTE, type World } from './world.ts';

/** A request that got neither an answer nor a broken connection by then is lost. */
const LOST_AFTER_MS = 60_000;

/** Keeps no connection. */
const ALWAYS_FRESH = new Agent({ keepAlive: false });

export interface Failure {
  readonly id: string;
  readonly node: number;
  readonly from: number;
  readonly until: number;
  readonly why: string;
  /** Idempotent: a proxy may send it a second time when nothing of an answer was there. */
  readonly maySendAgain: boolean;
}

export class Clients {
  sent = 0;
  answered = 0;
  /** Nobody listened: the client goes to another node, as with several addresses of one name. */
  turnedAway = 0;
  /** On a kept connection that the node closed at this very moment: what may be sent again, any client sends again (RFC 9110 section 9.2.2). */
  sentAgain = 0;
  lost = 0;
  /** An answer that belongs to another request. */
  mixedUp = 0;
  /** More than one answer to one request. */
  twice = 0;
  longestMs = 0;
  readonly failures: Failure[] = [];
  readonly #world: World;
  readonly #random: Random;
  readonly #perNode: readonly Agent[];
  #running = true;
  #nextId = 0;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#perNode = world.nodes.map(() => new Agent({ keepAlive: true, maxSockets: 200 }));
  }

  /** `count` clients, each with a little time to think; resolves when all have had their last answer. */
  async run(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#client()));
    for (const agent of this.#perNode) agent.destroy();
  }

  stop(): void {
    this.#running = false;
  }

  async #client(): Promise<void> {
    while (this.#running) {
      const node = Math.floor(this.#random.between(0, this.#world.nodes.length));
      const turnedAway = (await this.#ask(node, this.#random.next() < 0.3)) === 'turned away';
      await delay(turnedAway ? 50 : this.#random.between(0, 30));
    }
  }

  #ask(node: number, post: boolean, agent = this.#perNode[node]): Promise<'done' | 'turned away'> {
    const id = `r${this.#nextId++}`;
    const from = performance.now();
    const slot = this.#world.nodes[node];
    this.sent++;
    return new Promise((resolve) => {
      const asked = request({
        host: '127.0.0.1',
        port: slot?.listen,
        path: `/id?ms=${Math.floor(this.#random.between(0, 40))}`,
        method: post ? 'POST' : 'GET',
        headers: { host: ROUTE, 'x-request-id': id, 'content-length': post ? 5 : 0 },
        agent: agent ?? false,
      });
      const lost = setTimeout(() => {
        this.lost++;
        asked.destroy();
      }, LOST_AFTER_MS);
      this.#listen(asked, id, (why) => {
        clearTimeout(lost);
        const until = performance.now();
        this.longestMs = Math.max(this.longestMs, until - from);
        if (why === null) this.answered++;
        else if (why === 'turned away') this.turnedAway++;
        else if (why.startsWith('kept connection') && !post) {
          this.sentAgain++;
          void this.#ask(node, post, ALWAYS_FRESH).then(resolve);
          return;
        } else this.failures.push({ id, node, from, until, why, maySendAgain: !post });
        resolve(why === 'turned away' ? 'turned away' : 'done');
      });
      asked.end(post ? 'hello' : undefined);
    });
  }

  #listen(asked: ClientRequest, id: string, end: (why: string | null) => void): void {
    let ended = false;
    let answers = 0;
    const once = (why: string | null): void => {
      if (ended) return;
      ended = true;
      end(why);
    };
    asked.on('response', (response) => {
      if (++answers > 1) this.twice++;
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('error', (error: NodeJS.ErrnoException) => once(`broken answer: ${error.code ?? error.message}`));
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        if (status === 200 && body !== id) this.mixedUp++;
        once(status === 200 ? null : `${status} ${String(response.headers['proxy-status'] ?? body)}`);
      });
    });
    asked.on('error', (error: NodeJS.ErrnoException) => {
      // A kept connection that the node closed at the moment of its reuse: the request never arrived, any client sends it again.
      const raced = asked.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      if (error.code === 'ECONNREFUSED') once('turned away');
      else once(`${raced ? 'kept connection: ' : ''}${error.code ?? error.message}`);
    });
  }
}
