-- The common part of the scripts of declarations; see cluster/declarations.ts.
--
-- KEYS[1]  ABOUT: the name of the cluster, the highest version that was given, and more
-- KEYS[2]  VERSIONS: 'KIND NAME' → 'VERSION HASH', or 'VERSION -' where it was deleted. Behind it ' new' where it was declared before the directory
--          had its cluster's name: then it is newer than all that a node brings back
-- All keys are of one hash slot.

local ABOUT, VERSIONS = KEYS[1], KEYS[2]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A full or read-only Redis must not prevent reading.
local function try(...)
  local answer = redis.pcall(...)
  return not (type(answer) == 'table' and answer.err)
end

local function versionOf(text)
  local value = tonumber(text)
  return value and value >= 0 and value <= versionMax and value == math.floor(value) and value or nil
end

local highest = versionOf(redis.call('HGET', ABOUT, 'highest')) or 0
local cluster = redis.call('HGET', ABOUT, 'cluster')

-- Numbers as text: Redis cuts what Lua returns.
local function written(version)
  return string.format('%.0f', version)
end

local function nextVersion()
  highest = math.max(highest + 1, now)
  try('HSET', ABOUT, 'highest', written(highest))
  return highest
end

local function hashOf(value)
  return string.sub(redis.sha1hex(value), 1, 16)
end

-- Returns version, hash and whether it is new; nil when it is something else.
local function parse(entry)
  if not entry then return nil end
  local version, hash, more = string.match(entry, '^(%d+) ([%x%-]+)( ?%a*)$')
  version = versionOf(version)
  if not version then return nil end
  return version, hash, more == ' new'
end

local function note(field, version, value)
  local hash = value and hashOf(value) or '-'
  return try('HSET', VERSIONS, field, written(version) .. ' ' .. hash .. (cluster and '' or ' new'))
end

-- Versions of values that are no longer there, when all values of the kind are gone at once, were not deleted: they were lost.
local function noteLoss(key)
  if redis.call('EXISTS', key) == 0 and redis.call('HLEN', VERSIONS) > 0 then try('HSET', ABOUT, 'lostUpTo', written(highest)) end
end

-- Forgets the oldest deletions.
local function prune(keys)
  local live = 0
  for i = 3, #keys do live = live + redis.call('HLEN', keys[i]) end
  if redis.call('HLEN', VERSIONS) <= live + deletionsMax + 1000 then return end
  local deleted = {}
  local all = redis.call('HGETALL', VERSIONS)
  for i = 1, #all, 2 do
    local version, hash = parse(all[i + 1])
    if not version then redis.call('HDEL', VERSIONS, all[i]) end
    if hash == '-' then deleted[#deleted + 1] = { version, all[i] } end
  end
  table.sort(deleted, function(a, b) return a[1] < b[1] end)
  for i = 1, #deleted - deletionsMax do
    redis.call('HDEL', VERSIONS, deleted[i][2])
    redis.call('HSET', ABOUT, 'pruned', written(deleted[i][1]))
  end
end
