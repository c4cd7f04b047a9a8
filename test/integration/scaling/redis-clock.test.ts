/** Redis' clock is set by an hour, as by somebody who corrects it: starts go on, and who waited longest is still served first. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisConnection } from '../../../src/cluster/redis/connection.ts';
import { RedisDirectory } from '../../../src/cluster/redis/directory.ts';
import { freePort } from '../../../src/linker/free-port.ts';
import { silent } from '../../contract/world.ts';
import { eventually } from '../../support/eventually.ts';
import { ownDirectory, startProcess } from '../../support/processes.ts';

const LIBRARY = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
const HOUR_MS = 3_600_000;

let folder: string;
let server: ChildProcess;
let client: Redis;
let url: string;

/** `+1h`, `-1h`: from the real time. */
const setClock = (offset: string): void => writeFileSync(join(folder, 'clock'), offset);

beforeEach(async () => {
  folder = ownDirectory();
  setClock('+0');
  const port = await freePort();
  url = `redis://127.0.0.1:${port}`;
  const fake = {
    LD_PRELOAD: LIBRARY,
    FAKETIME_TIMESTAMP_FILE: join(folder, 'clock'),
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
  server = spawn('redis-server', ['--port', String(port), '--save', ''], {
    cwd: folder,
    stdio: 'ignore',
    env: { PATH: process.env.PATH, ...fake },
  });
  client = new Redis(url);
  client.on('error', () => {});
  await eventually('Redis answers', async () => (await client.ping()) === 'PONG');
});
afterEach(async () => {
  client.disconnect();
  server.kill('SIGKILL');
  await once(server, 'exit');
});

async function redisMs(): Promise<number> {
  return Number((await client.time())[0]) * 1_000;
}

test.each(['-1h', '+1h'])(
  'starts go on when the clock is set %s',
  async (offset) => {
    const ran = (): number => (existsSync(join(folder, 'ran')) ? readFileSync(join(folder, 'ran'), 'utf8').trim().split('\n').length : 0);
    const rate = ['--rate', '1/2s'];
    const scaler = await startProcess(['scaler', '--redis', url, ...rate, '--', '/bin/sh', '-c', `echo "$START_ID" >> ${folder}/ran`]);
    for (const route of ['a.test', 'b.test']) await client.hset('pp:routes', route, '{"minInstances":1,"startTimeout":"1s"}');
    await eventually('the rate is used up', async () => ran() >= 1 && (await client.exists('{pp-bull}:startup:limiter')) === 1, 20_000);
    const before = await redisMs();
    setClock(offset);
    expect(Math.abs((await redisMs()) - before)).toBeGreaterThan(HOUR_MS / 2);
    const had = ran();
    await eventually('more starts', () => ran() >= had + 2, 30_000);
    await scaler.stop();
    for (const key of ['limiter', 'stalled-check']) expect(await client.pttl(`{pp-bull}:startup:${key}`)).toBeLessThan(10_000);
  },
  90_000,
);

test.each(['-1h', '+1h'])(
  'clients and nodes stay what they are when the clock is set %s',
  async (offset) => {
    const connection = new RedisConnection(url, silent);
    await connection.ready(5_000);
    const directory = new RedisDirectory(connection);
    const [a, b] = [
      { id: 'a', address: 'a.test:1' },
      { id: 'b', address: 'b.test:1' },
    ];
    const hold = { idle: 0, remove: [], maxHeld: null, reset: false };
    const nodes = async (): Promise<string[]> => (await directory.snapshot()).nodes.map(({ id }) => id);
    for (const { id, address } of [a, b]) {
      await directory.beatNode({ id, address, version: '1', startedMs: 1, held: 1, active: 0, links: 0 });
      await directory.enterRoutes(id, ['a.test']);
    }
    await directory.hold('a.test', a, { ...hold, add: [{ id: 'old', ageMs: 5_000 }] });
    await directory.hold('a.test', b, { ...hold, add: [] });
    setClock(offset);
    for (const { id, address } of [b, a]) {
      const { dead } = await directory.beatNode({ id, address, version: '1', startedMs: 1, held: 1, active: 0, links: 0 });
      expect(dead).toEqual([]);
    }
    expect((await nodes()).sort()).toEqual(['a', 'b']);
    if (offset === '-1h') {
      await directory.hold('a.test', b, { ...hold, add: [{ id: 'new', ageMs: 0 }] });
      expect(await client.zrange('pp:{a.test}:held', '0', '-1')).toEqual(['a:old', 'b:new']);
      expect((await directory.snapshot()).routes[0]?.oldestHeldMs).toBeLessThan(60_000);
      await directory.noteLoss();
    }
    await connection.close();
  },
  30_000,
);
