-- What a decision to start instances needs to know.
--
-- ARGV     none
-- returns  { held, promised, slots, free, ready, starting, last known concurrency or -1 }

tend()
local ready, slots, warming = supply()
local free = 0
for _, count in ipairs(redis.call('HVALS', FREE)) do free = free + count end
local starting = redis.call('ZCARD', STARTING) + warming
local concurrency = tonumber(redis.call('HGET', META, 'concurrency')) or -1
return { redis.call('ZCARD', HELD), redis.call('ZCARD', PROMISED), slots, free, ready, starting, concurrency }
