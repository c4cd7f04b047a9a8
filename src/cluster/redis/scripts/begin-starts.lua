-- Enters starts, if ready and starting instances are still as many as when it was decided: of two scalers that decide at
-- once, one decides again.
--
-- ARGV     1 ready and starting instances together, at the decision  2 ms until the starts are given up, then their ids
-- returns  1, or 0 when something has changed

tend()
local ready, _, warming = supply()
if ready + warming + redis.call('ZCARD', STARTING) ~= tonumber(ARGV[1]) then return 0 end
for i = 3, #ARGV do
  redis.call('ZADD', STARTING, now + ARGV[2], ARGV[i])
end
if redis.call('PTTL', STARTING) < ARGV[2] + keysLiveMs then redis.call('PEXPIRE', STARTING, ARGV[2] + keysLiveMs) end
return 1
