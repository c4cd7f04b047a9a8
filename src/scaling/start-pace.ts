/**
 * How fast starts may begin in the whole cluster. The rate follows what the scheduler takes, as TCP's window follows what the network takes: it
 * begins high, is halved when starts fail at several routes, and grows with each start that links. All scalers share one bucket in Redis.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { guard } from '../boundary.ts';
import { textOf } from '../cluster/values.ts';
import type { Rate } from '../config/kinds.ts';
import { type BullConnection, QUEUE_NAME, QUEUE_PREFIX } from './bull-connection.ts';
import type { Allowed } from './lanes.ts';
import type { StartRate } from './startup-job.ts';

/** Starts per second. The bucket has room for those of one second. */
export const PACE = { first: 50, least: 2, most: 500 } as const;

/** A failed rate is halved at most once in this time: the failures of one moment are one sign. */
const CUT_GAP_MS = 1_000;
/** Below the first rate it doubles in this time by itself: nobody else tries whether the scheduler has recovered. */
const RECOVERY_MS = 10_000;
/** The last start of a route counts as a sign for this time. */
const SIGN_MS = 60_000;
const SIGNS_MAX = 1_000;
/** A rate that has not limited anything for this time does not grow: nothing has tried it. */
const TRIED_MS = 60_000;
/** After so long without a start the rate is forgotten. */
const KEPT_MS = 600_000;
/** How long all scalers wait when the bucket is empty, and how long the further starts of a route that has begun one. */
export const WAIT_MS = { least: 50, most: 1_000, further: 250 } as const;
/** BullMQ's mark of a queue whose jobs must wait. */
const LIMITED = Number.MAX_SAFE_INTEGER;
/** How long to wait for Redis. */
const REPLY_MS_MAX = 2_000;
/** A scaler with a fixed rate says so at intervals. */
const SAY_MS = 2_000;
const SAID_MS = 10_000;
/** The oldest waiting job is the first one that nobody has taken yet. */
const TAKEN_SEEN_MAX = 50;

/**
 * KEYS: pace, pace-linked, pace-failed, wait, limiter, pace-fixed. ARGV: prefix of jobs, what to do, then
 * - take: how many starts, 1 if their job has begun none. Returns { allowed, wait in ms }.
 * - ended: route, how many linked, how many failed.
 * - read: nothing. Returns { starts per 1000 s, the fixed rate or '', waiting jobs, when the oldest was ordered or '' }.
 * A value that is no number, and a time after now (Redis's clock was set back), count as none.
 */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function number(text, least, most, otherwise)
  local value = tonumber(text or '')
  if not value or value ~= value then return otherwise end
  return math.max(least, math.min(most, value))
end
local kept = redis.call('HMGET', KEYS[1], 'rate', 'tokens', 'at', 'cut', 'limited')
local rate = number(kept[1], ${PACE.least}, ${PACE.most}, ${PACE.first})
local at = number(kept[3], 0, now, now)
if rate < ${PACE.first} then rate = math.min(${PACE.first}, rate * 2 ^ math.min(10, (now - at) / ${RECOVERY_MS})) end
local tokens = math.min(rate, number(kept[2], 0, rate, rate) + rate * (now - at) / 1000)
local cut, limited = number(kept[4], 0, now, 0), number(kept[5], 0, now, 0)
if ARGV[2] == 'read' then
  local oldest = ''
  for _, job in ipairs(redis.call('LRANGE', KEYS[4], -${TAKEN_SEEN_MAX}, -1)) do
    local said = redis.pcall('HMGET', ARGV[1] .. job, 'timestamp', 'processedOn')
    if not said.err and said[1] and not said[2] then oldest = said[1] end
  end
  return { math.floor(rate * 1000), redis.call('GET', KEYS[6]) or '', redis.call('LLEN', KEYS[4]), oldest }
end
local answer = false
if ARGV[2] == 'take' then
  local count, first = tonumber(ARGV[3]), ARGV[4] == '1'
  -- Each route that waits has its first start before another one has its second.
  local allowed = math.max(0, math.min(count, math.floor(tokens) - redis.call('LLEN', KEYS[4])))
  if first and allowed == 0 and tokens >= 1 then allowed = 1 end
  tokens = tokens - allowed
  local wait = 0
  if allowed < count then
    limited = now
    wait = math.ceil(math.max(0, 1 - tokens) / rate * 1000)
    wait = math.max(first and ${WAIT_MS.least} or ${WAIT_MS.further}, math.min(${WAIT_MS.most}, wait))
    if first and allowed == 0 then redis.call('SET', KEYS[5], '${LIMITED}', 'PX', wait) end
  end
  answer = { allowed, wait }
else
  local route, linked, failed = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
  for i = 2, 3 do
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - ${SIGN_MS})
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '(' .. now, '+inf')
  end
  if linked > 0 then
    redis.call('ZADD', KEYS[2], now, route)
    redis.call('ZREM', KEYS[3], route)
    if rate < ${PACE.first} or now - limited < ${TRIED_MS} then
      rate = math.min(${PACE.most}, rate + linked * math.min(1, ${PACE.first} / rate))
    end
  end
  if failed > 0 then
    local again = redis.call('ZSCORE', KEYS[3], route)
    redis.call('ZADD', KEYS[3], now, route)
    redis.call('ZREM', KEYS[2], route)
    local bad, good = redis.call('ZCARD', KEYS[3]), redis.call('ZCARD', KEYS[2])
    -- One route that fails while others link is its own fault, and a route that fails again says nothing new.
    local isSign = good == 0 or (bad >= 2 and (bad >= good or (not again and bad * 10 >= good)))
    if isSign and now - cut >= ${CUT_GAP_MS} then
      rate = math.max(${PACE.least}, rate / 2)
      cut = now
    end
  end
  for i = 2, 3 do
    redis.call('ZREMRANGEBYRANK', KEYS[i], 0, -${SIGNS_MAX + 1})
    redis.call('PEXPIRE', KEYS[i], ${SIGN_MS})
  end
  tokens = math.min(tokens, rate)
end
redis.call('HSET', KEYS[1], 'rate', string.format('%.3f', rate), 'tokens', string.format('%.3f', tokens), 'at', now, 'cut', cut, 'limited', limited)
redis.call('PEXPIRE', KEYS[1], ${KEPT_MS})
return answer
`;

const KEYS = ['pace', 'pace-linked', 'pace-failed', 'wait', 'limiter', 'pace-fixed'].map((part) => `${QUEUE_PREFIX}:${QUEUE_NAME}:${part}`);
const FIXED_KEY = `${QUEUE_PREFIX}:${QUEUE_NAME}:pace-fixed`;

export class StartPace {
  readonly #connection: BullConnection;
  readonly #rate: Rate | 'auto';
  readonly #failed: (error: unknown) => void;
  #saying: NodeJS.Timeout | undefined;

  /** `failed` hears of errors of Redis that have no caller. */
  constructor(connection: BullConnection, rate: Rate | 'auto', failed: (error: unknown) => void) {
    this.#connection = connection;
    this.#rate = rate;
    this.#failed = failed;
  }

  /** The limit of BullMQ's worker: with `auto` it only waits while `allow` has said so, and never counts that far. */
  get limiter(): { readonly max: number; readonly duration: number } {
    const { count, durationMs } = this.#rate === 'auto' ? { count: 1_000_000_000, durationMs: WAIT_MS.most } : this.#rate;
    return { max: count, duration: durationMs };
  }

  /**
   * Asks for starts of one job. `isFirst`: it has begun none yet. If it gets none then, all scalers take no jobs for that time. With a fixed
   * rate BullMQ has counted the job. @throws Error when Redis does not answer
   */
  async allow(starts: number, isFirst: boolean): Promise<Allowed> {
    if (this.#rate !== 'auto') return { starts, waitMs: 0 };
    // The connection waits for Redis as long as it is away.
    const late = delay(REPLY_MS_MAX, null, { ref: false });
    const reply = await Promise.race([evaluate(this.#connection, ['take', starts, isFirst ? 1 : 0]), late]);
    if (reply === null) throw new Error('Redis did not answer in time');
    const [allowed, waitMs] = listOf(reply);
    return { starts: Math.min(starts, wholeOf(allowed)), waitMs: Math.max(WAIT_MS.least, wholeOf(waitMs)) };
  }

  /** Starts of the route have linked, or their command failed, or they did not link in time. Never throws. */
  ended(route: string, { linked, failed }: { readonly linked: number; readonly failed: number }): void {
    // A sign that is lost costs little, and while Redis is away they would pile up.
    if (this.#rate !== 'auto' || linked + failed === 0 || this.#connection.status !== 'ready') return;
    evaluate(this.#connection, ['ended', route, linked, failed]).catch((error: unknown) => this.#failed(error));
  }

  /** Says at intervals that the rate is fixed, until `close` is called. */
  open(): void {
    if (this.#rate === 'auto') return;
    const perSecond = String((this.#rate.count * 1_000) / this.#rate.durationMs);
    const say = guard('timer', () => {
      if (this.#connection.status !== 'ready') return;
      this.#connection.set(FIXED_KEY, perSecond, 'PX', SAID_MS).catch((error: unknown) => this.#failed(error));
    });
    this.#saying = setInterval(say, SAY_MS);
    say();
  }

  close(): void {
    clearInterval(this.#saying);
  }
}

/** @param now ms since the epoch */
export async function readStartRate(connection: BullConnection, now: number): Promise<StartRate> {
  const [milli, fixed, waiting, ordered] = listOf(await evaluate(connection, ['read']));
  const fixedRate = Number(textOf(fixed, 30));
  const orderedAt = Number(textOf(ordered, 30));
  const isFixed = Number.isFinite(fixedRate) && fixedRate > 0;
  const perSecond = isFixed ? fixedRate : wholeOf(milli) / 1_000;
  return {
    perSecond,
    fixed: isFixed,
    slowed: !isFixed && perSecond < PACE.first,
    waiting: wholeOf(waiting),
    oldestMs: Number.isFinite(orderedAt) && orderedAt > 0 ? Math.max(0, now - orderedAt) : 0,
  };
}

async function evaluate(connection: BullConnection, args: readonly (string | number)[]): Promise<unknown> {
  return connection.eval(SCRIPT, KEYS.length, ...KEYS, `${QUEUE_PREFIX}:${QUEUE_NAME}:`, ...args);
}

function listOf(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply : [];
}

function wholeOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}
