-- Declares one thing, or deletes it.
--
-- KEYS     1 about, 2 versions, then the values of each kind
-- ARGV     1 the number of the kind, from 1
--          2 the kind
--          3 the name
--          4 the value, or '' to delete it
--          5 1: only if nothing was ever declared by this name
-- returns  1, or 0 when nothing changed

local VALUES = KEYS[2 + ARGV[1]]
local kind, name, value = ARGV[2], ARGV[3], ARGV[4]
local field = kind .. ' ' .. name
noteLoss(VALUES)
local before = redis.call('HGET', VALUES, name)
local version, hash = parse(redis.call('HGET', VERSIONS, field))
if ARGV[5] == '1' and (before or version) then return 0 end

if value == '' then
  if not before and hash == '-' then return 0 end
  redis.call('HSET', VERSIONS, field, written(nextVersion()) .. ' -' .. (cluster and '' or ' new'))
  redis.call('HDEL', VALUES, name)
  prune(KEYS)
  return 1
end
if before == value and version and hash == hashOf(value) then return 0 end
redis.call('HSET', VALUES, name, value)
note(field, nextVersion(), value)
return 1
