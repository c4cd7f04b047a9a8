-- The paused routes.
--
-- KEYS     1 route → its pause as JSON
-- ARGV     none
-- returns  { now, route, JSON, route, JSON, ... }

local time = redis.call('TIME')
local answer = { time[1] * 1000 + math.floor(time[2] / 1000) }
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  if #stored[i] <= routeCharsMax and #stored[i + 1] <= settingsCharsMax and #answer < 2 * pausedRoutesMax then
    answer[#answer + 1] = stored[i]
    answer[#answer + 1] = stored[i + 1]
  end
end
return answer
