-- The routes at which a node has entries, without invalid names.
--
-- KEYS     1 the routes of the node
-- ARGV     none
-- returns  { route, ... }

local routes = {}
for _, route in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if #route <= servedCharsMax then routes[#routes + 1] = route end
end
return routes
