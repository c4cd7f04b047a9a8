/** One of two nodes is frozen: linkers that dial it first reach the other one without waiting for its time to be up (RFC 8305). */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { ask } from '../support/clients.ts';
import { Ledger, startNode, startScaler } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

const STARTS = 8;
/** A linker gives a node that says nothing 2 s. Half of the linkers dial the frozen node first. */
const LOST_MS_MAX = 1_500;

let redis: RedisServer;
const ledger = new Ledger();

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis?.stop();
  ledger.remove();
});

test('a cold start takes hardly longer while one of two nodes is frozen', async () => {
  const [a, b] = await Promise.all(['a', 'b'].map((id) => startNode(redis.url, ['--id', id])));
  if (a === undefined || b === undefined) throw new Error('no nodes');
  const linker = { proxies: [a.backend, b.backend], concurrency: 1, app: COUNTING_APP, args: ['--idle-timeout', '1s'] };
  const scaler = await startScaler(redis.url, linker, ledger);
  const set = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"maxInstances":1}' };
  const coldStarts = async (kind: string): Promise<number[]> => {
    const took: number[] = [];
    const hosts = Array.from({ length: STARTS }, (_, i) => `${kind}${i}.example.com`);
    for (const host of hosts) expect((await fetch(`${b.admin}/api/v1/routes/${host}`, set)).status).toBe(200);
    for (const host of hosts) {
      const since = performance.now();
      // The first request may be there before the news of its route.
      await eventually('it is served', async () => (await ask(b.url, { host })).status === 200, 30_000);
      took.push(Math.round(performance.now() - since));
    }
    return took.sort((x, y) => x - y);
  };
  const before = await coldStarts('app');
  a.kill('SIGSTOP');
  const frozen = await coldStarts('other');
  a.kill('SIGCONT');
  console.log(`ms of cold starts, both nodes: ${before.join(' ')}; one frozen: ${frozen.join(' ')}`);
  // With neither the shortest nor the longest: a busy machine makes single ones late.
  const late = (took: number[]): number => took[Math.floor(STARTS * 0.75)] as number;
  expect(late(frozen) - late(before)).toBeLessThan(LOST_MS_MAX);
  await scaler.stop();
  await Promise.all([a.stop(), b.stop()]);
});
