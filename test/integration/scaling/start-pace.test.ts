import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type BullConnection, connectBull, QUEUE_NAME, QUEUE_PREFIX } from '../../../src/scaling/bull-connection.ts';
import { PACE, readStartRate, StartPace, WAIT_MS } from '../../../src/scaling/start-pace.ts';
import { eventually } from '../../support/eventually.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

let redis: RedisServer;
let connection: BullConnection;
let pace: StartPace;
let errors: unknown[];

beforeAll(async () => {
  redis = await startRedis();
  connection = connectBull(redis.url);
  connection.on('error', () => {});
});
afterAll(async () => {
  connection.disconnect();
  await redis.stop();
});
beforeEach(async () => {
  await connection.flushall();
  errors = [];
  pace = new StartPace(connection, 'auto', (error) => errors.push(error));
});

const keyOf = (part: string): string => `${QUEUE_PREFIX}:${QUEUE_NAME}:${part}`;
/** A time after now counts as now. */
const LATER = 99_999_999_999_999;
const kept = async (field: string): Promise<number> => Number(await connection.hget(keyOf('pace'), field));
const read = () => readStartRate(connection, Date.now());
const rate = async (): Promise<number> => (await read()).perSecond;
/** As if that time had passed since the last call. */
async function age(ms: number): Promise<void> {
  for (const field of ['at', 'cut', 'limited']) {
    const at = Number(await connection.hget(keyOf('pace'), field));
    if (at > 0) await connection.hset(keyOf('pace'), field, at - ms);
  }
}

async function ended(route: string, ends: Partial<{ linked: number; failed: number }>): Promise<void> {
  pace.ended(route, { linked: 0, failed: 0, ...ends });
  // Commands of one connection keep their order.
  await connection.ping();
}

describe('the rate of starts', () => {
  test('lets as many begin at once as in one second, and then one after the other', async () => {
    expect(await pace.allow(200, true)).toEqual({ starts: PACE.first, waitMs: WAIT_MS.least });
    expect(await kept('tokens')).toBe(0);
    await age(1_000);
    expect((await pace.allow(200, true)).starts).toBeGreaterThanOrEqual(PACE.first);
  });

  test('is one for all scalers', async () => {
    const other = new StartPace(connection, 'auto', () => {});
    expect((await pace.allow(40, true)).starts).toBe(40);
    expect(await kept('tokens')).toBe(PACE.first - 40);
    expect((await other.allow(200, true)).starts).toBeGreaterThanOrEqual(PACE.first - 40);
    expect(await kept('tokens')).toBeLessThan(1);
  });

  test('stops the queue for a moment where the first start of a job may not begin', async () => {
    await pace.allow(PACE.first, true);
    await connection.hset(keyOf('pace'), 'rate', PACE.least, 'tokens', 0, 'at', LATER);
    const { starts, waitMs } = await pace.allow(1, true);
    expect(starts).toBe(0);
    expect(waitMs).toBeGreaterThan(WAIT_MS.least);
    expect(waitMs).toBeLessThanOrEqual(WAIT_MS.most);
    expect(Number(await connection.get(keyOf('limiter')))).toBe(Number.MAX_SAFE_INTEGER);
    expect(await connection.pttl(keyOf('limiter'))).toBeLessThanOrEqual(WAIT_MS.most);
  });

  test('gives each waiting route its first start before another one has its second', async () => {
    await connection.rpush(keyOf('wait'), ...Array.from({ length: 45 }, (_, n) => String(n)));
    // Five of the fifty are not needed by those who wait.
    expect(await pace.allow(100, false)).toEqual({ starts: 5, waitMs: WAIT_MS.further });
    await connection.rpush(keyOf('wait'), ...Array.from({ length: 55 }, (_, n) => `more-${n}`));
    expect(await pace.allow(100, false)).toMatchObject({ starts: 0 });
    expect(await pace.allow(100, true)).toMatchObject({ starts: 1 });
  });

  test('is halved once for the failures of one moment, and not below the least', async () => {
    for (const route of ['a', 'b', 'c', 'd']) {
      await ended(route, { failed: 1 });
      await connection.hset(keyOf('pace'), 'cut', LATER);
    }
    expect(await kept('rate')).toBeGreaterThanOrEqual(PACE.first / 2);
    expect(await kept('rate')).toBeLessThan(PACE.first);
    for (let round = 0; round < 10; round++) {
      await connection.hset(keyOf('pace'), 'cut', 0);
      for (const route of ['a', 'b', 'c', 'd']) await ended(route, { failed: 1 });
    }
    expect(await rate()).toBeGreaterThanOrEqual(PACE.least);
    expect(await rate()).toBeLessThan(PACE.least + 1);
    expect(await read()).toMatchObject({ slowed: true, fixed: false });
  });

  test('does not follow one route that fails while others link', async () => {
    await ended('good', { linked: 1 });
    for (let round = 0; round < 5; round++) await ended('bad', { failed: 1 });
    expect(await rate()).toBe(PACE.first);
    // Twenty more link, and a second one fails for the first time: less than a tenth.
    for (let n = 0; n < 25; n++) await ended(`good-${n}`, { linked: 1 });
    await ended('bad-2', { failed: 1 });
    expect(await rate()).toBe(PACE.first);
    await ended('bad-3', { failed: 1 });
    expect(await kept('rate')).toBe(PACE.first / 2);
    expect(errors).toEqual([]);
  });

  test('grows with each start that links while it limits, and not above the most', async () => {
    await ended('a', { linked: 30 });
    // Nobody waited.
    expect(await rate()).toBe(PACE.first);
    await pace.allow(500, true);
    await ended('a', { linked: 30 });
    expect(await rate()).toBe(PACE.first + 30);
    await ended('a', { linked: 100_000 });
    expect(await rate()).toBe(PACE.most);
  });

  test('is back after failures, with starts that link, or in time', async () => {
    for (let round = 0; round < 10; round++) {
      await connection.hset(keyOf('pace'), 'cut', 0);
      await ended('bad', { failed: 1 });
    }
    const slow = await rate();
    await ended('good', { linked: 10 });
    expect(await rate()).toBeGreaterThanOrEqual(slow + 10);
    expect(await rate()).toBeLessThan(PACE.first / 2);
    await age(10_000);
    expect(await rate()).toBeGreaterThan(2 * slow + 19);
    await age(60_000);
    expect(await rate()).toBe(PACE.first);
  });

  test('stands what others wrote, and a clock that was set back', async () => {
    await connection.hset(keyOf('pace'), 'rate', 'many', 'tokens', 'nan', 'at', LATER, 'cut', '-', 'limited', 'x');
    expect((await pace.allow(500, true)).starts).toBe(PACE.first);
    await connection.hset(keyOf('pace'), 'at', LATER, 'cut', LATER);
    await connection.zadd(keyOf('pace-failed'), LATER, 'later');
    expect((await pace.allow(500, true)).starts).toBe(0);
    await ended('a', { failed: 1 });
    expect(await connection.zscore(keyOf('pace-failed'), 'later')).toBeNull();
    await connection.set(keyOf('pace-fixed'), 'fast');
    await connection.rpush(keyOf('wait'), 'no-job');
    expect(await read()).toMatchObject({ fixed: false, waiting: 1, oldestMs: 0 });
    await connection.del(keyOf('pace-failed'));
    await connection.set(keyOf('pace-failed'), 'a text');
    await ended('a', { failed: 1 });
    await eventually('the caller hears of it', () => errors.length > 0);
  });

  test('keeps no more signs than it needs', async () => {
    await connection.zadd(keyOf('pace-linked'), ...Array.from({ length: 3_000 }, (_, n) => [Date.now() - 1_000, `route-${n}`]).flat());
    await ended('a', { linked: 1 });
    expect(await connection.zcard(keyOf('pace-linked'))).toBe(1_000);
    for (const part of ['pace', 'pace-linked']) expect(await connection.pttl(keyOf(part))).toBeGreaterThan(0);
  });
});

describe('a fixed rate', () => {
  test('counts jobs and lets all of their starts begin, and is told to others', async () => {
    const fixed = new StartPace(connection, { count: 20, durationMs: 10_000 }, () => {});
    expect(fixed.limiter).toEqual({ max: 20, duration: 10_000 });
    expect(await fixed.allow(1_000, true)).toEqual({ starts: 1_000, waitMs: 0 });
    fixed.open();
    await eventually('it is told', async () => (await read()).fixed);
    expect(await read()).toMatchObject({ perSecond: 2, fixed: true, slowed: false });
    fixed.close();
    expect(await connection.pttl(keyOf('pace-fixed'))).toBeGreaterThan(0);
  });
});
