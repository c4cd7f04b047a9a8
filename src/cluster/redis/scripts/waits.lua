-- Adds what a node has measured to what is known of the route's waits, and returns it.
--
-- ARGV     1 requests that were served since the last call  2 the ms for which they kept their slots
--          3 a start whose instance was ready, or ''  4 after how many ms
-- returns  { held, ms that the oldest has waited, slots, free, pace as in pace(), { ms since each start under way began, oldest first, ... } }

tend()
noteTook(whole(ARGV[1]), whole(ARGV[2]))
if ARGV[3] ~= '' then noteStart(ARGV[3], whole(ARGV[4])) end
local sum = supply()
local oldest = redis.call('ZRANGE', HELD, 0, 0, 'WITHSCORES')[2]
-- What is linked and not ready yet was begun lately, too.
local starting = math.min(startAgesMax, redis.call('ZCARD', STARTING) + sum.warming)
local ages = {}
if starting > 0 then
  local begun = redis.call('ZREVRANGE', BEGUN, 0, starting - 1, 'WITHSCORES')
  for i = #begun, 2, -2 do ages[#ages + 1] = math.max(0, now - begun[i]) end
end
return { redis.call('ZCARD', HELD), oldest and math.max(0, now - oldest) or 0, sum.slots, sumOf(redis.call('HVALS', FREE)), pace(), ages }
