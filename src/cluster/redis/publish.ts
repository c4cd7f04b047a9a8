import { Cluster, type Redis } from 'ioredis';

/** On a Redis Cluster a message goes to one shard, the channel's, instead of to all. */
export function publishCommand(client: Redis | Cluster): 'publish' | 'spublish' {
  return client instanceof Cluster ? 'spublish' : 'publish';
}
