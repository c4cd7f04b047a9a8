-- Pauses a route, resumes it, or forgets a pause that is over.
--
-- KEYS     1 about, 2 versions, then the values of each kind
-- ARGV     1 the number of the kind, from 1
--          2 the kind
--          3 the route
--          4 for how many ms; 0 to resume it, -1 to forget the pause if its time is over
--          5 whether the end of tunnels is waited for: wait or ignore
-- returns  the pause as JSON, 1 or 0 for whether there was one to end, or -1 when too many routes are paused

local VALUES = KEYS[2 + ARGV[1]]
local kind, name, forMs = ARGV[2], ARGV[3], tonumber(ARGV[4])
local field = kind .. ' ' .. name
local stored = redis.call('HGET', VALUES, name)
local isJson, before = pcall(cjson.decode, stored or '')
local runs = isJson and type(before) == 'table' and type(before.sinceMs) == 'number' and type(before.untilMs) == 'number' and before.untilMs > now

if forMs <= 0 then
  if not stored or (forMs < 0 and runs) then return 0 end
  redis.call('HSET', VERSIONS, field, written(nextVersion()) .. ' -' .. (cluster and '' or ' new'))
  redis.call('HDEL', VALUES, name)
  prune(KEYS)
  return runs and 1 or 0
end
if not stored and redis.call('HLEN', VALUES) >= pausedRoutesMax then return -1 end
local version = nextVersion()
local since = runs and before.sinceMs <= now and before.sinceMs or now
local value = string.format('{"id":%.0f,"sinceMs":%.0f,"untilMs":%.0f,"tunnels":"%s"}', version, since, now + forMs, ARGV[5])
redis.call('HSET', VALUES, name, value)
note(field, version, value)
return value
