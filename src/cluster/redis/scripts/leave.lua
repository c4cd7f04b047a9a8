-- Removes all that a node has at the route.
--
-- ARGV     1 node  2 1 to do so only if it has stopped beating here
-- returns  nothing

tend()
if ARGV[2] == '0' then forget(ARGV[1]) end
