-- A node lives. Nodes that don't any more are taken off the list: who takes one off cleans up after it, so only one does.
--
-- KEYS     1 the list of nodes
-- ARGV     1 node  2 1 if nobody is to be taken for dead
-- returns  { now, known, how many other nodes live, dead node, dead node, ... }

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local known = redis.call('ZADD', KEYS[1], now, ARGV[1]) == 0
local answer = { now, known and 1 or 0, 0 }
if ARGV[2] == '0' then
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - deadAfterMs)) do
    redis.call('ZREM', KEYS[1], dead)
    answer[#answer + 1] = dead
  end
end
answer[3] = redis.call('ZCARD', KEYS[1]) - 1
return answer
