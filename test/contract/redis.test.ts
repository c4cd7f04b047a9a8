import { Redis } from 'ioredis';
import { RedisBell } from '../../src/cluster/redis/bell.ts';
import { RedisConnection } from '../../src/cluster/redis/connection.ts';
import { RedisDirectory } from '../../src/cluster/redis/directory.ts';
import { startRedis } from '../support/redis.ts';
import { describeCluster } from './cluster-contract.ts';
import { silent } from './world.ts';

const server = await startRedis();
const client = new Redis(server.url);

describeCluster({
  name: 'in Redis',
  async open() {
    await client.flushall();
    return {
      async connect() {
        const connection = new RedisConnection(server.url, silent);
        await connection.ready(30_000);
        return { directory: new RedisDirectory(connection), bell: new RedisBell(connection, silent) };
      },
      lose: async () => void (await client.flushall()),
    };
  },
  async close() {
    client.disconnect();
    await server.stop();
  },
});
