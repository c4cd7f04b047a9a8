-- The settings of all routes, without values that are too long for settings.
--
-- KEYS     1 the settings of routes
-- ARGV     none
-- returns  { route, JSON, ..., }, only the first characters of a value that is too long

local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored do
  local most = i % 2 == 1 and routeCharsMax or settingsCharsMax
  if #stored[i] > most then stored[i] = string.sub(stored[i], 1, auditedCharsMax) .. '...' end
end
return stored
