/**
 * Keeps the queue usable when something writes to its keys or sets Redis's clock. BullMQ's scripts fail at a key of another type, and rely
 * on keys that expire in time.
 */

import { guard } from '../boundary.ts';
import type { LeftOut } from '../cluster/left-out.ts';
import { reasonOf } from '../errors.ts';
import { type BullConnection, QUEUE_NAME, QUEUE_PREFIX } from './bull-connection.ts';

export interface QueueLives {
  /** Lifetime of the limiter's key. */
  readonly limiterMs: number;
  /** Time between two searches for jobs whose scaler died. */
  readonly stalledCheckMs: number;
  /** Lifetime of a job's lock. */
  readonly lockMs: number;
}

const EVERY_MS = 2_000;
/** After a repair that changed nothing the next one waits: the same error comes with each command. */
const MEND_GAP_MS = 250;
/** Keys that were moved aside stay for a day, for people to look at. */
const ASIDE_LIVES_MS = 24 * 3_600_000;
/** A job contains a few names, and the end of its commands' output. */
const JOB_CHARS_MAX = 262_144;
/** Delayed jobs are due within the longest time that a route can set. */
const DELAY_MS_MAX = 2 ** 31;

const TYPES: Readonly<Record<string, string>> = {
  wait: 'list',
  active: 'list',
  paused: 'list',
  delayed: 'zset',
  prioritized: 'zset',
  'waiting-children': 'zset',
  failed: 'zset',
  completed: 'zset',
  events: 'stream',
  meta: 'hash',
  id: 'string',
  pc: 'string',
  limiter: 'string',
  stalled: 'set',
  'stalled-check': 'string',
  marker: 'zset',
  repeat: 'zset',
  pace: 'hash',
  'pace-linked': 'zset',
  'pace-failed': 'zset',
  'pace-fixed': 'string',
};
const COUNTERS = new Set(['id', 'pc', 'limiter']);

/** KEYS: limiter, stalled-check, active, delayed. ARGV: ms that each of the first two may live, ms of a lock, the prefix of jobs, now and the longest delay in ms. */
const FOLLOW_CLOCK = `
for i = 1, 2 do
  local left = redis.call('PTTL', KEYS[i])
  if left > tonumber(ARGV[i]) or left == -1 then redis.call('UNLINK', KEYS[i]) end
end
for _, job in ipairs(redis.call('LRANGE', KEYS[3], 0, 99)) do
  local lock = ARGV[4] .. job .. ':lock'
  if redis.call('PTTL', lock) > tonumber(ARGV[3]) then redis.call('PEXPIRE', lock, ARGV[3]) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', '(0')
redis.call('ZREMRANGEBYSCORE', KEYS[4], string.format('%.0f', (ARGV[5] + ARGV[6]) * 0x1000), '+inf')
`;

/**
 * KEYS: keys. ARGV: lifetime in ms of keys that are moved aside, longest job in characters, the prefix of jobs, then for each key its type and
 * 1 if it is a counter. Returns { key, why, ... }.
 */
const MEND = `
local found = {}
local function aside(key, why)
  redis.call('RENAME', key, 'pp:aside:' .. key)
  redis.call('PEXPIRE', 'pp:aside:' .. key, ARGV[1])
  found[#found + 1] = key
  found[#found + 1] = why
end
local lists, own = {}, {}
for i, key in ipairs(KEYS) do
  own[key] = true
  local wanted, type = ARGV[2 + 2 * i], redis.call('TYPE', key).ok
  if type ~= 'none' and type ~= wanted then
    aside(key, 'a ' .. type)
  elseif type ~= 'none' and ARGV[3 + 2 * i] == '1' and not string.find(redis.call('GET', key), '^%d+$') then
    aside(key, 'no number')
  elseif wanted == 'list' then
    lists[#lists + 1] = key
  elseif type == 'hash' then
    for _, field in ipairs({ 'concurrency', 'max', 'duration', 'opts.maxLenEvents' }) do
      local value = redis.call('HGET', key, field)
      if value and not string.find(value, '^%d+$') then redis.call('HDEL', key, field) end
    end
  end
end
local function isJson(text)
  return not text or text == '' or (#text <= tonumber(ARGV[2]) and pcall(cjson.decode, text))
end
local function isJob(key)
  if redis.call('TYPE', key).ok ~= 'hash' then return false end
  for _, field in ipairs(redis.call('HMGET', key, 'data', 'opts', 'progress', 'parent', 'stacktrace')) do
    if not isJson(field) then return false end
  end
  for _, field in ipairs({ 'ats', 'atm', 'stc' }) do
    local value = redis.call('HGET', key, field)
    if value and not string.find(value, '^%d+$') then return false end
  end
  return true
end
for _, list in ipairs(lists) do
  for _, from in ipairs({ 0, -100 }) do
    for _, job in ipairs(redis.call('LRANGE', list, from, from + 99)) do
      local key = ARGV[3] .. job
      if not isJob(key) then
        redis.call('LREM', list, 0, job)
        redis.call('UNLINK', key .. ':lock')
        if not own[key] and redis.call('EXISTS', key) == 1 then aside(key, 'no job') end
      end
    end
  end
end
return found
`;

export class QueueUpkeep {
  readonly #connection: BullConnection;
  readonly #leftOut: LeftOut;
  #timer: NodeJS.Timeout | undefined;
  #mending: Promise<void> | null = null;

  constructor(connection: BullConnection, leftOut: LeftOut) {
    this.#connection = connection;
    this.#leftOut = leftOut;
  }

  /** Checks at intervals for keys that live too long, because Redis's clock was set back. */
  followClock(lives: QueueLives): void {
    const look = guard('timer', () => {
      if (this.#connection.status === 'ready') this.#look(lives).catch((error: unknown) => this.failed(error));
    });
    this.#timer = setInterval(look, EVERY_MS);
    look();
  }

  /** A command of the queue failed: repairs the keys if something else wrote there. `more`: keys of strings that were used. */
  failed(error: unknown, more: readonly string[] = []): boolean {
    if (!isDataFault(error) || this.#connection.status !== 'ready') return false;
    this.#mending ??= this.#mend(more)
      .catch((failure: unknown) => this.#leftOut.note(QUEUE_PREFIX, reasonOf(failure)))
      .then(() => new Promise<void>((resolve) => setTimeout(resolve, MEND_GAP_MS).unref()))
      .finally(() => {
        this.#mending = null;
      });
    return true;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look({ limiterMs, stalledCheckMs, lockMs }: QueueLives): Promise<void> {
    const keys = ['limiter', 'stalled-check', 'active', 'delayed'].map(keyOf);
    await this.#connection.eval(FOLLOW_CLOCK, keys.length, ...keys, limiterMs, stalledCheckMs, lockMs, keyOf(''), Date.now(), DELAY_MS_MAX);
  }

  async #mend(more: readonly string[]): Promise<void> {
    const parts = [...Object.keys(TYPES), ...more];
    const described = parts.flatMap((part) => [TYPES[part] ?? 'string', COUNTERS.has(part) ? 1 : 0]);
    const args = [ASIDE_LIVES_MS, JOB_CHARS_MAX, keyOf(''), ...described];
    const found = await this.#connection.eval(MEND, parts.length, ...parts.map(keyOf), ...args);
    const texts = Array.isArray(found) ? found.map(String) : [];
    for (let at = 0; at < texts.length; at += 2) {
      this.#leftOut.note(
        texts[at] ?? '',
        texts[at + 1],
        'the queue of startup jobs had entries that can not be used: they were moved aside',
      );
    }
  }
}

function keyOf(part: string): string {
  return `${QUEUE_PREFIX}:${QUEUE_NAME}:${part}`;
}

/** Redis fails because of a stored value, or a stored value is not JSON. */
function isDataFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error instanceof SyntaxError || /WRONGTYPE|user_script|not an integer|not a valid float|JSON/.test(error.message);
}
