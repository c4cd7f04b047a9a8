-- One consistent snapshot of the route.
--
-- ARGV     none
-- returns  { held, ms that the oldest has waited, free, starting, { start id, ms until it is given up, ms since it was begun or -1, ... }, { id, JSON, ... }, trouble, pace as in pace() }

tend()
local oldest = redis.call('ZRANGE', HELD, 0, 0, 'WITHSCORES')[2]
local free = sumOf(redis.call('HVALS', FREE))
local starts = {}
local stillStarting = redis.call('ZRANGE', STARTING, 0, startsShownMax - 1, 'WITHSCORES')
for i = 1, #stillStarting, 2 do
  local begun = redis.call('ZSCORE', BEGUN, stillStarting[i])
  starts[#starts + 1] = stillStarting[i]
  starts[#starts + 1] = stillStarting[i + 1] - now
  starts[#starts + 1] = begun and math.max(0, now - begun) or -1
end
local described = {}
local stored = redis.call('HGETALL', INSTANCES)
for i = 1, #stored, 2 do
  if #stored[i + 1] <= instanceCharsMax then
    described[#described + 1] = stored[i]
    described[#described + 1] = stored[i + 1]
  end
end
return {
  redis.call('ZCARD', HELD), oldest and now - oldest or 0, free, redis.call('ZCARD', STARTING) + supply().warming,
  starts, described, trouble(), pace(),
}
