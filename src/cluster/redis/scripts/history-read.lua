-- Reads the counts of all nodes at one route, in many buckets of time.
--
-- KEYS     the buckets
-- ARGV     route
-- returns  for each bucket: one line for each node, NODE JSON; empty without any

local found = {}
for i, key in ipairs(KEYS) do
  -- Something else may have been written there by hand.
  local value = redis.pcall('HGET', key, ARGV[1])
  found[i] = (type(value) == 'string' and #value <= historyFieldCharsMax) and value or ''
end
return found
