/** Paused routes in Redis: see pauses.ts. */
import type { Pause } from '../cluster.ts';
import { DECLARATION_KINDS, type DeclarationKind } from '../declarations.ts';
import { DirectoryUnavailable } from '../directory.ts';
import { readPause } from '../pauses.ts';
import type { RedisConnection } from './connection.ts';
import { declarationKeys, pausesKey } from './keys.ts';
import type { Mending } from './mending.ts';
import { readPauses } from './replies.ts';

const KIND: DeclarationKind = 'pauses';
const RESUME = 0;
const IF_OVER = -1;
const TOO_MANY = -1;

export class PausedRoutes {
  readonly #redis: RedisConnection;
  readonly #mending: Mending;
  readonly #tell: (route: string) => Promise<void>;

  /** `tell`: all nodes are to read what is declared. */
  constructor(redis: RedisConnection, mending: Mending, tell: (route: string) => Promise<void>) {
    this.#redis = redis;
    this.#mending = mending;
    this.#tell = tell;
  }

  async pause(route: string, forMs: number, tunnels: Pause['tunnels']): Promise<Pause | null> {
    const reply = await this.#run(route, forMs, tunnels);
    if (reply === TOO_MANY) return null;
    const pause = readPause(reply);
    if (pause === null) throw new DirectoryUnavailable('a reply of Redis can not be read');
    await this.#tell(route);
    return pause;
  }

  async resume(route: string): Promise<boolean> {
    const had = (await this.#run(route, RESUME)) === 1;
    await this.#tell(route);
    return had;
  }

  async forget(route: string): Promise<void> {
    await this.#run(route, IF_OVER);
  }

  async read(): Promise<{ readonly now: number; readonly pauses: ReadonlyMap<string, Pause> }> {
    return readPauses(await this.#mending.ofKey(pausesKey, 'hash', () => this.#redis.run('pauses', [pausesKey], [])));
  }

  #run(route: string, forMs: number, tunnels: Pause['tunnels'] = 'wait'): Promise<unknown> {
    const args = [DECLARATION_KINDS.indexOf(KIND) + 1, KIND, route, forMs, tunnels];
    return this.#mending.ofKeys(declarationKeys, 'hash', () => this.#redis.run('pause', declarationKeys, args));
  }
}
