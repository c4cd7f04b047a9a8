-- A node gives back what it knows and the directory does not, or knows in an older version. A directory without a name gets the cluster's.
--
-- KEYS     1 about, 2 versions, then the values of each kind
-- ARGV     1 the cluster
--          2 the highest version that the node knows
--          3 1: the node gives the cluster its name, and knows of no time before
--          then for each: the number of the kind from 1, the kind, the name, the version, the value or '' when it was deleted
-- returns  how many were taken; -1 when the directory belongs to another cluster

if cluster and cluster ~= ARGV[1] then return -1 end
local known = versionOf(ARGV[2]) or 0
local pruned = versionOf(redis.call('HGET', ABOUT, 'pruned')) or 0

if not cluster then
  cluster = ARGV[1]
  redis.call('HSET', ABOUT, 'cluster', cluster)
  highest = math.max(highest, known)
  -- Declarations that were made here meanwhile are newer than all that the node knows.
  local all = redis.call('HGETALL', VERSIONS)
  local fresh = {}
  for i = 1, #all, 2 do
    local version, hash, isNew = parse(all[i + 1])
    if isNew and ARGV[3] == '1' then
      redis.call('HSET', VERSIONS, all[i], written(version) .. ' ' .. hash)
    elseif isNew then fresh[#fresh + 1] = { version, all[i], hash } end
  end
  table.sort(fresh, function(a, b) return a[1] < b[1] end)
  for _, one in ipairs(fresh) do redis.call('HSET', VERSIONS, one[2], written(nextVersion()) .. ' ' .. one[3]) end
end

if known > highest then highest = known end
redis.call('HSET', ABOUT, 'highest', written(highest))

local taken = 0
for i = 4, #ARGV, 5 do
  local VALUES, field, name, value = KEYS[2 + ARGV[i]], ARGV[i + 1] .. ' ' .. ARGV[i + 2], ARGV[i + 2], ARGV[i + 4]
  local version = versionOf(ARGV[i + 3]) or 0
  local before, hash = parse(redis.call('HGET', VERSIONS, field))
  local isLost = before == version and hash ~= '-' and redis.call('HEXISTS', VALUES, name) == 0
  if (before and (version > before or isLost)) or (not before and version > pruned) then
    if value == '' then redis.call('HDEL', VALUES, name) else redis.call('HSET', VALUES, name, value) end
    redis.call('HSET', VERSIONS, field, written(version) .. ' ' .. (value == '' and '-' or hashOf(value)))
    taken = taken + 1
  end
end
return taken
