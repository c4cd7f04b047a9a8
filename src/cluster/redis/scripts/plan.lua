-- The facts for a decision to start instances.
--
-- ARGV     none
-- returns  { held, promised, slots, free, ready, starting, last known concurrency or -1, starts ever begun, ms since the last one or -1,
--            starts begun within a minute, age of the oldest of these or -1, instances asked for, ready instances to be replaced, clients being served, trouble,
--            paused instances, those that leave, what held clients cost beyond one slot each, and those beyond held - promised that are still to come }

tend()
local sum = supply()
local free = sumOf(redis.call('HVALS', FREE))
local serving = sumOf(redis.call('HVALS', SERVING))
local paused = pausedOnes()
local starting = redis.call('ZCARD', STARTING) + sum.warming
local concurrency = tonumber(redis.call('HGET', META, 'concurrency')) or -1

local window = '(' .. now - minuteMs
local last = redis.call('ZREVRANGEBYSCORE', BEGUN, '+inf', window, 'WITHSCORES', 'LIMIT', 0, 1)[2]
local oldest = redis.call('ZRANGEBYSCORE', BEGUN, window, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
local wanted = meta('wantedUntil') > now and meta('wanted') or 0
local old = 0
if meta('restartUntil') > now then
  for _, instance in ipairs(instances()) do
    if instance.info.state == 'ready' and instance.info.seq <= meta('restartSeq') then old = old + 1 end
  end
end
local heldExtra, wantedExtra = 0, 0
if isFair and meta('heavy') == 1 then
  local asks = redis.call('HGETALL', ASKS)
  for i = 1, #asks, 2 do
    local _, _, unit, cost = readAsk(asks[i + 1])
    heldExtra = heldExtra + cost - 1
    if not redis.call('ZSCORE', PROMISED, asks[i]) then
      wantedExtra = wantedExtra + cost - 1
    elseif cost > 1 and unit == 0 then
      -- It has paid before it is served: its slots are being brought together, and none has left FREE for it.
      wantedExtra = wantedExtra + cost
    end
  end
end
return {
  redis.call('ZCARD', HELD), redis.call('ZCARD', PROMISED), sum.slots, free, sum.ready, starting, concurrency, meta('begun'),
  last and now - last or -1, redis.call('ZCOUNT', BEGUN, window, '+inf'), oldest and now - oldest or -1, wanted, old, serving, trouble(),
  paused, math.max(0, redis.call('HLEN', INSTANCES) - sum.ready - sum.warming - paused),
  heldExtra, wantedExtra,
}
