-- One consistent picture of the route.
--
-- ARGV     none
-- returns  { held, ms that the oldest has waited, free, starting, { start id, ms until it is given up, ... }, { id, JSON, ... }, trouble }

tend()
local oldest = redis.call('ZRANGE', HELD, 0, 0, 'WITHSCORES')[2]
local free = 0
for _, count in ipairs(redis.call('HVALS', FREE)) do free = free + count end
local starts = redis.call('ZRANGE', STARTING, 0, startsShownMax - 1, 'WITHSCORES')
for i = 2, #starts, 2 do starts[i] = starts[i] - now end
return {
  redis.call('ZCARD', HELD), oldest and now - oldest or 0, free, redis.call('ZCARD', STARTING) + supply().warming,
  starts, redis.call('HGETALL', INSTANCES), trouble(),
}
