-- Enters starts, if ready and starting instances are still as many as when it was decided and nothing was begun since: of two
-- scalers that decide at once, one decides again.
--
-- ARGV     1 ready and starting instances together, at the decision  2 starts ever begun, then
--          3 ms until the starts count as failed  4 how many of them were wanted  5 ms since their job was taken, then their ids
-- returns  1, or 0 when something has changed

tend()
local sum = supply()
if sum.ready + sum.warming + redis.call('ZCARD', STARTING) ~= tonumber(ARGV[1]) or meta('begun') ~= tonumber(ARGV[2]) then return 0 end

for _, start in ipairs(redis.call('ZRANGEBYSCORE', BEGUN, '-inf', now - begunLivesMs)) do
  redis.call('ZREM', BEGUN, start)
  redis.call('HDEL', JOBS, start)
end
for i = 6, #ARGV do
  redis.call('ZADD', STARTING, now + ARGV[3], ARGV[i])
  redis.call('ZADD', BEGUN, now, ARGV[i])
  redis.call('HSET', JOBS, ARGV[i], now - ARGV[5])
end
local livesMs = isKeyed and keyedRememberedMs or begunLivesMs
redis.call('PEXPIRE', BEGUN, livesMs)
redis.call('PEXPIRE', JOBS, livesMs)
if redis.call('PTTL', STARTING) < ARGV[3] + keysLiveMs then redis.call('PEXPIRE', STARTING, ARGV[3] + keysLiveMs) end
revise()
setMeta('begun', meta('begun') + #ARGV - 5)
if tonumber(ARGV[4]) > 0 then redis.call('HSET', META, 'wanted', math.max(0, meta('wanted') - ARGV[4])) end
return 1
