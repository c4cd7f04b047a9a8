-- The nodes and the age of their last beat.
--
-- KEYS     1 the list of nodes
-- ARGV     none
-- returns  { node, ms, node, ms, ... }

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local nodes = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now - deadAfterMs, '+inf', 'WITHSCORES')
for i = 2, #nodes, 2 do nodes[i] = math.max(0, now - tonumber(nodes[i])) end
return nodes
