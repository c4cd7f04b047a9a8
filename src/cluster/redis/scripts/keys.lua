-- Takes or keeps places of keys of a route: a key that is awake has one, until its time is over.
--
-- KEYS     1 key → until when it has its place, Redis time in ms
-- ARGV     1 how many keys may have one, or -1: these have theirs already
--          then of each key: its name, for how many ms, 1 to leave a later end as it is
-- returns  { keys without a place, ... }

local PLACES = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most = tonumber(ARGV[1])
-- Where the clock was set back, ends are further away than any is set.
redis.call('ZREMRANGEBYSCORE', PLACES, '-inf', now)
redis.call('ZREMRANGEBYSCORE', PLACES, now + keyPlaceMaxMs + 1, '+inf')

local full = {}
for i = 2, #ARGV, 3 do
  local key, untilMs = ARGV[i], now + math.min(tonumber(ARGV[i + 1]), keyPlaceMaxMs)
  local before = redis.call('ZSCORE', PLACES, key)
  if not before and most >= 0 and redis.call('ZCARD', PLACES) >= most then
    full[#full + 1] = key
  elseif not before or ARGV[i + 2] ~= '1' or tonumber(before) < untilMs then
    redis.call('ZADD', PLACES, untilMs, key)
  end
end
local last = tonumber(redis.call('ZREVRANGE', PLACES, 0, 0, 'WITHSCORES')[2] or now)
if last > now then redis.call('PEXPIRE', PLACES, last - now) end
return full
