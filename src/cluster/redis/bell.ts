/** The bell in Redis: pub/sub, on a Redis Cluster the sharded kind. */

import { Cluster, type Redis } from 'ioredis';
import { guard, unawaited } from '../../boundary.ts';
import { reasonOf } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Bell, BellListener, DemandNotice, Ring } from '../directory.ts';
import { publishCommand } from './client.ts';
import type { RedisConnection } from './connection.ts';
import { demandChannel, nodeKey, routesKey } from './keys.ts';
import { readDemandNotice, readRing } from './messages.ts';

/** A subscriber may receive nothing for hours: only a PING shows that its connection is alive. */
const PING_MS = 2_000;
/** Joining does not wait longer than this for the subscription; it comes when it can. */
const SUBSCRIBE_WAIT_MS = 2_000;

export class RedisBell implements Bell {
  readonly #redis: RedisConnection;
  readonly #log: Log;
  readonly #publish: 'publish' | 'spublish';
  /** Ends the subscription. */
  #end: () => Promise<void> = async () => undefined;
  #pingTimer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(redis: RedisConnection, log: Log) {
    this.#redis = redis;
    this.#log = log;
    this.#publish = publishCommand(redis.client);
  }

  /** Resolves when subscribed, or at once when Redis is away: then it subscribes as soon as it is back. */
  async listen(node: string, listener: BellListener): Promise<void> {
    const channels = [nodeKey(node), demandChannel, routesKey];
    const deliver = guard('bell', (channel: string, message: string) => this.#deliver(channel, message, listener));
    const { client } = this.#redis;
    if (client instanceof Cluster) await this.#listenToShards(client, channels, deliver);
    else await this.#listenToServer(client, channels, deliver);
  }

  async ring(node: string, ring: Ring): Promise<boolean> {
    // 0 receivers: nothing listens. No reply: nothing is certain.
    return this.#redis.call(this.#publish, nodeKey(node), JSON.stringify(ring)).then(
      (receivers) => receivers !== 0,
      () => true,
    );
  }

  demand(notice: DemandNotice): void {
    this.#redis.call(this.#publish, demandChannel, JSON.stringify(notice)).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#pingTimer !== null) clearInterval(this.#pingTimer);
    await this.#end();
  }

  async #listenToServer(client: Redis, channels: readonly string[], deliver: (channel: string, message: string) => void): Promise<void> {
    const subscriber = client.duplicate({ connectionName: 'pullproxy-bell', autoResubscribe: false });
    this.#end = async () => subscriber.disconnect();
    subscriber.on('message', deliver);
    // The connection for commands logs what is wrong with Redis.
    subscriber.on('error', () => undefined);
    const subscribe = (): Promise<void> =>
      subscriber.subscribe(...channels).then(
        () => undefined,
        (error: unknown) => this.#refused(error, () => subscriber.disconnect(true)),
      );
    const subscribed = new Promise<void>((resolve) => {
      const ready = guard('bell', () => unawaited('bell', subscribe().then(resolve)));
      subscriber.on('ready', ready);
      setTimeout(resolve, this.#redis.connected ? SUBSCRIBE_WAIT_MS : 0).unref();
    });
    const ping = guard('timer', () => void subscriber.ping().catch(() => undefined));
    this.#pingTimer = setInterval(ping, PING_MS);
    await subscribed;
  }

  async #listenToShards(client: Cluster, channels: readonly string[], deliver: (channel: string, message: string) => void): Promise<void> {
    client.on('smessage', deliver);
    this.#end = async () => {
      if (this.#redis.connected) await Promise.allSettled(channels.map((channel) => client.sunsubscribe(channel)));
    };
    // Each channel may be at another shard. Once subscribed, the client follows the channel wherever it goes.
    const open = new Set(channels);
    const again = guard('bell', () => unawaited('bell', subscribe()));
    const subscribe = async (): Promise<void> => {
      for (const channel of open) {
        await client.ssubscribe(channel).then(
          () => open.delete(channel),
          (error: unknown) => this.#refused(error, () => setTimeout(again, PING_MS).unref()),
        );
      }
    };
    client.on('ready', again);
    if (this.#redis.connected) await subscribe();
  }

  #refused(error: unknown, retry: () => void): void {
    if (this.#closed) return;
    this.#log.warn({ reason: reasonOf(error) }, 'could not subscribe to the channels in Redis; trying again');
    retry();
  }

  #deliver(channel: string, message: string, listener: BellListener): void {
    if (this.#closed) return;
    if (channel === routesKey) {
      listener.onRoutesChanged();
    } else if (channel === demandChannel) {
      const notice = readDemandNotice(message);
      if (notice === null) this.#redis.leftOut.note(channel, message);
      else listener.onDemand(notice);
    } else {
      const ring = readRing(message);
      if (ring === null) this.#redis.leftOut.note(channel, message);
      else listener.onRing(ring);
    }
  }
}
