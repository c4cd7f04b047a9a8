-- One consistent picture of the route.
--
-- ARGV     none
-- returns  { held, free, starting, id, JSON, id, JSON, ... }

tend()
local free = 0
for _, count in ipairs(redis.call('HVALS', FREE)) do free = free + count end
local _, _, warming = supply()
local picture = { redis.call('ZCARD', HELD), free, redis.call('ZCARD', STARTING) + warming }
for _, value in ipairs(redis.call('HGETALL', INSTANCES)) do picture[#picture + 1] = value end
return picture
