import { RedisBell } from '../../src/cluster/redis/bell.ts';
import { RedisConnection } from '../../src/cluster/redis/connection.ts';
import { RedisDirectory } from '../../src/cluster/redis/directory.ts';
import { startRedisCluster } from '../support/redis-processes.ts';
import { describeCluster } from './cluster-contract.ts';
import { silent } from './world.ts';

// Three masters: a script whose keys lie in two hash slots is refused, and a message that is published at the wrong shard is lost.
const group = await startRedisCluster(3);
const flush = async (): Promise<void> => void (await Promise.all(group.servers.map(({ client }) => client.flushall())));

describeCluster({
  name: 'in a Redis Cluster',
  async open() {
    await flush();
    return {
      async connect() {
        const connection = new RedisConnection(group.url, silent);
        await connection.ready(30_000);
        return { directory: new RedisDirectory(connection), bell: new RedisBell(connection, silent) };
      },
      lose: flush,
      isSharded: true,
    };
  },
  close: () => group.stop(),
});
