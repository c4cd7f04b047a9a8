import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { connectBull } from '../../../src/scaling/bull-connection.ts';
import { Scaler } from '../../../src/scaling/scaler.ts';
import { StartupQueue } from '../../../src/scaling/startup-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeDirectories } from '../../support/harness/fake-directory.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const configFile = `pullproxy-test-scaling-${process.pid}.conf`;

let server: RedisServer;
let url: string;

beforeAll(async () => {
  // One server that owns all hash slots: it refuses scripts across slots as any Redis Cluster does.
  server = await startRedis({
    args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--dir', '/tmp', '--cluster-config-file', configFile],
  });
  const client = new Redis(server.url);
  await client.call('cluster', 'addslotsrange', 0, 16_383);
  await eventually('all slots are served', async () => String(await client.call('cluster', 'info')).includes('cluster_state:ok'));
  client.disconnect();
  url = `${server.url},${server.url}`;
});
afterAll(async () => {
  await server.stop();
  await rm(`/tmp/${configFile}`, { force: true });
});

test('several URLs are a Redis Cluster, over which jobs are ordered, run, retried and taken over', async () => {
  const directory = new FakeDirectories();
  const { log, lines } = recordedLog();
  const options = { redisUrl: url, directory, log };
  const queue = new StartupQueue(options);
  const scaler = new Scaler({
    ...options,
    command: ['/bin/sh', '-c', '[ $HELD = 25 ] || exit 1'],
    rate: { count: 10, durationMs: 100 },
    parallel: 2,
    commandTimeoutMs: 5_000,
    environment: { PATH: '/usr/bin:/bin' },
  });
  await scaler.start();
  directory.of('app').held = 5;
  queue.request('app');
  await eventually('it has failed', () => lines.some(({ msg }) => msg === 'startup job failed'));
  directory.of('app').held = 25;
  await eventually('it is run again', () => directory.of('app').starting.size === 3 && scaler.stats().commands.length === 2);
  queue.request('app', 1);
  directory.of('app').held = 25;
  await eventually('one more is started', () => directory.of('app').starting.size === 4);
  await scaler.close();
  await queue.close();
});

test('a Cluster that can not be reached keeps neither queue nor scaler from closing', async () => {
  const options = { redisUrl: 'redis://127.0.0.1:1,redis://127.0.0.1:2', directory: new FakeDirectories(), log: recordedLog().log };
  const queue = new StartupQueue(options);
  queue.request('app', 1);
  const scaler = new Scaler({
    ...options,
    command: ['true'],
    rate: { count: 1, durationMs: 1 },
    parallel: 1,
    commandTimeoutMs: 1,
    environment: {},
  });
  const started = scaler.start().then(
    () => 'started',
    () => 'gave up',
  );
  const begun = performance.now();
  await Promise.all([queue.close(), scaler.close()]);
  expect(performance.now() - begun).toBeLessThan(5_000);
  void started;
});

test('the connection for BullMQ takes user, password, database and TLS from the URL', () => {
  const connections = [
    connectBull('redis://user:p%40ss@127.0.0.1:1/3'),
    connectBull('rediss://user:p%40ss@127.0.0.1:1,rediss://127.0.0.1:2'),
  ];
  for (const connection of connections) {
    connection.on('error', () => {});
    connection.disconnect();
  }
  expect(connections[0]?.options).toMatchObject({ username: 'user', password: 'p@ss', db: 3, maxRetriesPerRequest: null });
  expect(connections[1]?.options).toMatchObject({
    redisOptions: { username: 'user', password: 'p@ss', tls: {}, maxRetriesPerRequest: null },
  });
});
