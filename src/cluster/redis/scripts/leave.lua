-- Removes all that a node has at the route.
--
-- ARGV     1 node  2 1 to do so only if it has stopped beating here
-- returns  nothing

tend()
local last = tonumber(redis.call('ZSCORE', NODES, ARGV[1])) or 0
if ARGV[2] == '0' or last <= now - deadAfterMs then forget(ARGV[1]) end
