/** What is written into Redis beside pullproxy's own commands reaches no startup command. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { eventually } from '../../support/eventually.ts';
import { ownDirectory, type Running, runCommand, startProcess } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

let redis: RedisServer;
let client: Redis;
let scaler: Running;
let folder: string;

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
});
afterAll(async () => {
  client?.disconnect();
  await redis?.stop();
});
afterEach(() => scaler?.stop());

/** A startup command that does what a careless one would: its words become a command of a shell. */
async function startCareless(): Promise<void> {
  folder = ownDirectory();
  const script = `echo "$ROUTE $START_ID" >> ${folder}/ran; echo x | sed -e "s/x/$ROUTE/"`;
  scaler = await startProcess(['scaler', '--redis', redis.url, '--rate', '1000/1s', '--', '/bin/sh', '-c', script, '{route}']);
}

const ran = (): string[] => (existsSync(join(folder, 'ran')) ? readFileSync(join(folder, 'ran'), 'utf8').trim().split('\n') : []);

test('a name that is none starts nothing, and is said once and by inspect', async () => {
  await startCareless();
  const bad = [
    `x/;e touch ${folder}/F #`,
    '--privileged.shop.test',
    'a"\n---\nkind: Pod',
    'a{b}',
    '',
    '__proto__x!',
    '$(id)',
    'A.EXAMPLE.COM',
  ];
  for (const name of bad) await client.hset('pp:routes', name, '{"minInstances":1}');
  await client.hset('pp:routes', 'good.example.com', '{"minInstances":1,"startTimeout":"1s"}');
  // Its start is given up and begun anew: meanwhile all routes were looked at several times.
  await eventually('the good one is started twice', () => ran().length >= 2, 30_000);
  expect(ran().filter((line) => !/^good\.example\.com [a-z0-9]{12}$/.test(line))).toEqual([]);
  expect(existsSync(join(folder, 'F'))).toBe(false);

  const lines = scaler.logs.filter(({ where }) => where === 'pp:routes');
  expect(lines.map(({ found }) => found).sort()).toEqual([...bad].sort());
  const { stdout } = await runCommand(['inspect', '--json'], { env: { PULLPROXY_REDIS: redis.url } });
  const { findings } = JSON.parse(stdout) as { findings: { what: string }[] };
  for (const name of bad) expect(findings.map(({ what }) => what)).toContain(`${JSON.stringify(name)} is not a route's name`);
  const status = await runCommand(['status', '--json'], { env: { PULLPROXY_REDIS: redis.url } });
  expect((JSON.parse(status.stdout) as { routes: { name: string }[] }).routes.map(({ name }) => name)).toEqual(['good.example.com']);
}, 60_000);

test('start ids that a job brings are its own or the job is not followed', async () => {
  await client.flushall();
  await startCareless();
  await client.hset('pp:routes', 'good.example.com', '{"minInstances":1}');
  await eventually('started', () => ran().length === 1, 30_000);
  const add = async (id: string, data: object): Promise<void> => {
    await client.hset(`{pp-bull}:startup:${id}`, { name: 'start', data: JSON.stringify(data), opts: '{}', timestamp: Date.now() });
    await client.lpush('{pp-bull}:startup:wait', id);
    await client.zadd('{pp-bull}:startup:marker', 0, '0');
  };
  await add('foreign-1', { route: 'good.example.com', force: 0, startIds: [`x;touch ${folder}/F`] });
  await add('foreign-2', { route: `x;touch ${folder}/F`, force: 0, startIds: [] });
  await eventually('they have failed', async () => (await client.zcard('{pp-bull}:startup:failed')) === 2);
  expect(ran().filter((line) => !/^good\.example\.com [a-z0-9]{12}$/.test(line))).toEqual([]);
  expect(existsSync(join(folder, 'F'))).toBe(false);
}, 60_000);
