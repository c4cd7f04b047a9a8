-- One consistent snapshot of the route.
--
-- ARGV     none
-- returns  { held, ms that the oldest has waited, free, starting, { start id, ms until it is given up, ... }, { id, JSON, ... }, trouble }

tend()
local oldest = redis.call('ZRANGE', HELD, 0, 0, 'WITHSCORES')[2]
local free = sumOf(redis.call('HVALS', FREE))
local starts = redis.call('ZRANGE', STARTING, 0, startsShownMax - 1, 'WITHSCORES')
for i = 2, #starts, 2 do starts[i] = starts[i] - now end
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
  starts, described, trouble(),
}
