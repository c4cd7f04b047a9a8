-- Removes entries of the route's keys that none of our nodes can have written: invalid names and numbers, entries of nodes that are not here.
-- Nodes write the right ones again with their next beats. audited: { key, entry, value, ... }, some of the removed entries.

local audited = {}

local function takenOut(key, entry, value)
  if #audited == 0 then revise() end
  if #audited >= 3 * auditedMax then return end
  audited[#audited + 1] = key
  audited[#audited + 1] = string.sub(entry, 1, auditedCharsMax)
  audited[#audited + 1] = string.sub(tostring(value), 1, auditedCharsMax)
end

local function auditHash(key, isOurs)
  local stored = redis.call('HGETALL', key)
  for i = 1, #stored, 2 do
    if not isOurs(stored[i], stored[i + 1]) then
      redis.call('HDEL', key, stored[i])
      takenOut(key, stored[i], stored[i + 1])
    end
  end
end

local function auditSet(key, isOurs)
  local at, bad = 0, {}
  while true do
    local batch = redis.call('ZRANGE', key, at, at + 999, 'WITHSCORES')
    for i = 1, #batch, 2 do
      if not isOurs(batch[i], tonumber(batch[i + 1])) then bad[#bad + 1] = { batch[i], batch[i + 1] } end
    end
    if #batch < 2000 then break end
    at = at + 1000
  end
  for _, one in ipairs(bad) do
    redis.call('ZREM', key, one[1])
    takenOut(key, one[1], one[2])
  end
end

local function isName(text, pattern, most)
  return #text <= most and string.find(text, pattern) ~= nil
end

local function isPast(score)
  return score >= 0 and score <= now + clockStepMs
end

local function isStart(text)
  return isName(text, '^[a-z%d]+$', 64) or isName(text, '^[a-z%d]+:%d+$', 71)
end

-- The counts that are kept beside the counted entries.
local function recount(heldBy)
  redis.call('UNLINK', HOLDERS)
  for node, held in pairs(heldBy) do redis.call('HSET', HOLDERS, node, held) end
end

local function isCounted()
  return sumOf(redis.call('HVALS', HOLDERS)) == redis.call('ZCARD', HELD)
end

-- all: also checks that take long with many held clients. Otherwise they run only when a count is wrong.
local function audit(all)
  auditSet(NODES, function(node, at) return isName(node, '^[%w_.-]+$', nodeCharsMax) and at >= 0 and at < wholeMax end)
  local here = {}
  for _, node in ipairs(redis.call('ZRANGE', NODES, 0, -1)) do here[node] = true end
  local function isCount(node, count) return here[node] and isWhole(tonumber(count), countMax) end

  auditHash(PEERS, function(node, address) return here[node] and isName(address, '^[%w_.%[%]:-]+:%d+$', addressCharsMax) end)
  auditHash(FREE, isCount)
  auditHash(SERVING, isCount)
  auditHash(INSTANCES, function(id, json)
    local info = decode(json)
    return info and info.id == id and here[info.node] and isName(id, '^[a-z%d]+$', 64)
  end)
  auditSet(STARTING, function(start, at) return isStart(start) and at <= now + startTimeoutMaxMs end)

  if all or not isCounted() then
    local heldBy = {}
    auditSet(HELD, function(hold, at)
      local node = holderOf(hold)
      if not here[node] or not isPast(at) or #hold > nodeCharsMax + 64 then return false end
      heldBy[node] = (heldBy[node] or 0) + 1
      return true
    end)
    recount(heldBy)
  end
  if not all then return end
  auditSet(PROMISED, function(hold) return redis.call('ZSCORE', HELD, hold) end)
  auditSet(BEGUN, function(start, at) return isStart(start) and isPast(at) end)
  auditHash(ENDED, function(start, how) return isStart((string.gsub(start, '^lost:', ''))) and string.find(how, '^%d+ [%a_]+$') ~= nil end)
  auditHash(JOBS, function(start, at) return isStart(start) and isWhole(tonumber(at), now + clockStepMs) end)
  for _, field in ipairs({ 'concurrency', 'counted', 'ready', 'slots', 'warming', 'begun', 'wanted', 'wantedUntil', 'restartSeq',
    'restartUntil', 'failures', 'failedAt', 'pauses', 'retryAt', 'silentSince', 'sparedUntil', 'doubted' }) do
    local value = redis.call('HGET', META, field)
    if value and (#value > 20 or not isWhole(tonumber(value), wholeMax)) then
      redis.call('HDEL', META, field)
      takenOut(META, field, value)
    end
  end
  if redis.call('EXISTS', META) == 1 then keepSupply(countAll()) end
end
