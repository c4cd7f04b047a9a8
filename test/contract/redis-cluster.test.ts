import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { RedisBell } from '../../src/cluster/redis/bell.ts';
import { RedisConnection } from '../../src/cluster/redis/connection.ts';
import { RedisDirectory } from '../../src/cluster/redis/directory.ts';
import { startRedis } from '../support/redis.ts';
import { describeCluster } from './cluster-contract.ts';
import { silent } from './world.ts';

// One server that owns all hash slots: it refuses scripts and pub/sub across slots as any Redis Cluster does.
const configFile = `pullproxy-test-nodes-${process.pid}.conf`;
const server = await startRedis({
  args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--dir', '/tmp', '--cluster-config-file', configFile],
});
const client = new Redis(server.url);
await client.call('cluster', 'addslotsrange', 0, 16_383);
while (!String(await client.call('cluster', 'info')).includes('cluster_state:ok')) await delay(50);
const url = `${server.url},${server.url}`;

describeCluster({
  name: 'in a Redis Cluster',
  async open() {
    await client.flushall();
    return {
      async connect() {
        const connection = new RedisConnection(url, silent);
        await connection.ready(5_000);
        return { directory: new RedisDirectory(connection), bell: new RedisBell(connection, silent) };
      },
      lose: async () => void (await client.flushall()),
    };
  },
  async close() {
    client.disconnect();
    await server.stop();
    // Written here when the server did not run in a container.
    await rm(`/tmp/${configFile}`, { force: true });
  },
});
