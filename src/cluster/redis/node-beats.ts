/** What nodes say about themselves in Redis: that they live, and what they do. */
import type { NodeBeat, NodeBeatReply } from '../directory.ts';
import { KEYS_LIVE_MS } from '../limits.ts';
import { type RedisConnection, read } from './connection.ts';
import { nodeKey, nodeRoutesKey, nodesKey } from './keys.ts';
import type { Mending } from './mending.ts';
import { readNodeBeat } from './replies.ts';

export class NodeBeats {
  readonly #redis: RedisConnection;
  readonly #mending: Mending;

  constructor(redis: RedisConnection, mending: Mending) {
    this.#redis = redis;
    this.#mending = mending;
  }

  async beat(beat: NodeBeat): Promise<NodeBeatReply> {
    const { id, address, version, startedMs, held, active, links, draining = false, spares = false, holds = {}, coldStarts = {} } = beat;
    const counts = { holds: JSON.stringify(holds), coldStarts: JSON.stringify(coldStarts), failing: JSON.stringify(beat.failing ?? []) };
    const [paused, overloaded] = [JSON.stringify(beat.paused ?? []), JSON.stringify(beat.overloaded ?? [])];
    const fields = { address, version, started: startedMs, held, active, links, draining: draining ? 1 : 0, paused, overloaded, ...counts };
    const [reply, started, , , routesKnown] = await Promise.all([
      this.#mending.ofKey(nodesKey, 'zset', () => this.#redis.run('beatNode', [nodesKey], [id, spares ? 1 : 0])),
      this.#key(nodeKey(id), 'hget', 'started'),
      this.#key(nodeKey(id), 'hset', ...Object.entries(fields).flat()),
      this.#redis.call('pexpire', nodeKey(id), KEYS_LIVE_MS),
      this.#redis.call('pexpire', nodeRoutesKey(id), KEYS_LIVE_MS),
    ]);
    return read((said) => readNodeBeat(said, started, routesKnown), reply);
  }

  /** Whether it is on the list of nodes. */
  async isListed(node: string): Promise<boolean> {
    return (await this.#mending.ofKey(nodesKey, 'zset', () => this.#redis.call('zscore', nodesKey, node))) !== null;
  }

  #key(key: string, command: string, ...args: (string | number)[]): Promise<unknown> {
    return this.#mending.ofKey(key, 'hash', () => this.#redis.call(command, key, ...args));
  }
}
