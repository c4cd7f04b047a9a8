-- A beat of a node. Dead nodes are removed from the list. The caller that removes one cleans up after it, so only one does.
--
-- KEYS     1 the list of nodes
-- ARGV     1 node  2 1 if nobody is to be taken for dead
-- returns  { now, known, how many other nodes live, ms by which the clock was set forward, 1 if all nodes know that some rest, dead node, dead node, ... }

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A beat of a node that knows that some rest ends in .5.
local function isOfNow(at) return at < wholeMax and at % 1 > 0 end

-- A beat in the future came before the clock was set back.
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now + clockStepMs, '+inf')) do redis.call('ZADD', KEYS[1], now, node) end

local before = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '')
redis.call('ZADD', KEYS[1], now + 0.5, ARGV[1])
local answer = { now, before and 1 or 0, 0, 0, 1 }
if ARGV[2] == '0' and before and now - before > deadAfterMs then
  -- This node has beaten all the time: the clock was set forward, and no silence is known.
  answer[4] = math.floor(math.min(now - before, now))
  for _, node in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], now, node) end
elseif ARGV[2] == '0' then
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - deadAfterMs)) do
    redis.call('ZREM', KEYS[1], dead)
    answer[#answer + 1] = dead
  end
end
local nodes = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 2, #nodes, 2 do
  if not isOfNow(tonumber(nodes[i])) then answer[5] = 0 end
end
answer[3] = #nodes / 2 - 1
return answer
