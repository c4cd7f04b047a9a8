-- Writes a node's words about itself, without values that are too long.
--
-- KEYS     1 what the node says
-- ARGV     the fields that are asked for
-- returns  { value or '', ... }

local values = redis.call('HMGET', KEYS[1], unpack(ARGV))
for i = 1, #values do
  if not values[i] or #values[i] > nodeFieldCharsMax then values[i] = '' end
end
return values
