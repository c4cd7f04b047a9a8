-- Removes all that a node has at the route.
--
-- ARGV     1 node  2 1 to do so only if it has stopped beating here
-- returns  1, or 0 when it has not

tend()
local last = tonumber(redis.call('ZSCORE', NODES, ARGV[1])) or 0
local isDead = ARGV[2] == '1'
if isDead and last > now - deadAfterMs then return 0 end
forget(ARGV[1])
-- It may live, and know nothing of it.
if isDead and last > 0 then revise() end
return 1
