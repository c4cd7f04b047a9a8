-- Writes what a node has at the route: its idle slots and its instances. Renews their expiry.
--
-- ARGV     1 node  2 its address  3 its idle slots  4 clients that are served through it
--          5 the sum of 1 to be told how many slots an instance may have at most, 2 to be told which ones are ready, and 4 if the node rests from now on  6 how many instances have left it, then their ids,
--          then of each instance here: id, 1 if it has just linked, and its JSON if it changed or '' if not
-- returns  { now, known, clients held at the node, ids of instances to be said in full, newest ready instance or '', its node or '',
--            starts in progress, removed entries as in audit(), { instance that has just linked or was sent with the number 0, its number, ... },
--            { instances that are turned away, ... }, how many slots an instance may have at most, 0 without any, or -1, clients held at other nodes,
--            the route's revision, { ready instance, its node, ... } if that was asked for }

local node, asks = ARGV[1], tonumber(ARGV[5])
local gone = tonumber(ARGV[6])

local function stored(id)
  return decode(redis.call('HGET', INSTANCES, id))
end

-- Ends the start that the new instance belongs to, and returns its id. One that says no id is the oldest start's: its scheduler can't pass ids on. Of several starts
-- that one command has begun, the instance can't tell which of them it is. Returns nil when it is nobody's.
local function endItsStart(startId)
  if startId and redis.call('ZREM', STARTING, startId) == 1 then return startId end
  local oldest
  for _, start in ipairs(redis.call('ZRANGE', STARTING, 0, -1)) do
    local together = string.match(start, '^(.*):')
    if together and together == startId then
      redis.call('ZREM', STARTING, start)
      return start
    end
    if (together or not startId) and not oldest then oldest = start end
  end
  if oldest then redis.call('ZREM', STARTING, oldest) end
  return oldest
end

-- A new instance has that start id: it was not lost, and what was to be cleaned up after it stays. Returns whether its start had been given up.
local function comesBack(startId)
  redis.call('HDEL', ENDED, 'lost:' .. startId)
  local entry = redis.call('HGET', ENDED, startId)
  return entry and not string.find(entry, ' linked', 1, true) and redis.call('HDEL', ENDED, startId) == 1
end

-- It serves, or has lived long enough.
local function settleGood(instance)
  if instance.state ~= 'draining' and instance.served and (instance.proved or instance.answered) then settleOf(instance, 'linked') end
end

-- The start of a new instance was given up. It takes the place of one that is under way, or one that is free; without any it is not wanted: to
-- let it in would exceed what the route may have.
local function isTooLate(sum, info)
  local there = sum.ready + sum.warming + pausedOnes()
  if there >= info.placesMax then return true end
  if there + redis.call('ZCARD', STARTING) >= info.placesMax then redis.call('ZPOPMIN', STARTING) end
  return false
end

-- The same where the route never has more instances than it may, those that leave included. Any instance that is nobody's start may be one too many.
local function isOneTooMany(info)
  local there = redis.call('HLEN', INSTANCES)
  if there >= info.placesMax then return true end
  if there + redis.call('ZCARD', STARTING) >= info.placesMax then redis.call('ZPOPMIN', STARTING) end
  return false
end

-- Before it was ready for the first time: a failed start.
local function neverReady(instance, why, due)
  settleOf(instance, 'ended_early', due)
  failOnce(instance, 'instance ' .. instance.id .. ' ended before it was ready' .. (why and ': ' .. why or ''))
end

-- The instance's home says that it is gone, without a reason: its linker was killed, or its machine was lost.
local function vanished(instance)
  if instance.state == 'draining' then return end
  -- An instance that was ready may say that it is starting, too, when its application does not accept for a while.
  local due = now + lostAfterMs
  if not instance.served then return neverReady(instance, nil, due) end
  -- One that has answered may have lost nothing but its link.
  if hasProved(instance) or not instance.answered then ended(instance, 'its linker is gone', due) end
  lose(instance)
end

-- The directory's own facts about an instance stay when its home describes it.
local function takeOver(info, before)
  info.served, info.readyAt, info.proved, info.failed = before.served, before.readyAt, before.proved, before.failed
  info.start, info.settled = before.start, before.settled
  -- Draining is final: a beat that was on its way when the instance was allowed to leave must not count it as ready again.
  if before.state == 'draining' then info.state = 'draining' end
end

-- A number larger than all before, about Redis's time: no clock decides which instance is newest, not even this one when it is set back. Numbers
-- that nodes bring back after a loss count, and those that a node of 0.1 has written.
local function numberOf(info, before)
  local last = meta('seq')
  if info.seq == 0 and before and before.seq > 0 then info.seq = before.seq end
  if info.seq == 0 then
    local newest = stored(redis.call('HGET', META, 'newest') or '')
    info.seq = math.max(now, last + 1, newest and newest.seq + 1 or 0)
  end
  -- Lua writes large numbers with fewer digits than they have.
  if info.seq > last then setMeta('seq', string.format('%.0f', info.seq)) end
  return info.seq
end

-- Whether other nodes should hear of the difference.
local function isAnother(info, before)
  return info.state ~= before.state or info.seq ~= before.seq or info.concurrency ~= before.concurrency or info.most ~= before.most or info.node ~= before.node
end

local function store(info)
  redis.call('HSET', INSTANCES, info.id, cjson.encode(info))
end

tend()
local isDue = isKeepDue()
if isDue or not isCounted() then audit() end
local sum = supply()
local changed, isNews = {}, false
local known = touch(node, ARGV[2], asks >= 4)
setIdle(node, ARGV[3])
setServing(node, ARGV[4])

for i = 7, 6 + gone do
  -- It may have its home at another node by now: then this node does not remove it.
  local instance = stored(ARGV[i])
  if instance and instance.node == node then
    redis.call('HDEL', INSTANCES, ARGV[i])
    count(sum, instance, -1)
    changed[#changed + 1] = instance
    isNews = true
    vanished(instance)
  end
end

local missing, numbered, turnedAway = {}, {}, {}
for i = 7 + gone, #ARGV, 3 do
  local id, claim, json = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local before = stored(id)
  if json == '' then
    if not before then
      missing[#missing + 1] = id
    elseif before.served and not before.proved and hasProved(before) then
      before.proved = true
      if not before.failed then succeed() end
      settleGood(before)
      store(before)
    end
  elseif claim == '1' or not before or before.node == node then
    local info = cjson.decode(json)
    local said = info.seq
    numberOf(info, before)
    if said == 0 or claim == '1' then
      numbered[#numbered + 1] = id
      numbered[#numbered + 1] = string.format('%.0f', info.seq)
    end
    if before then
      takeOver(info, before)
      count(sum, before, -1)
    end
    if (info.state == 'ready' or info.state == 'paused') and not info.readyAt then info.served, info.readyAt = true, now end
    if info.state == 'draining' and before and before.state ~= 'draining' then
      if info.served then ended(info, info.failure) else neverReady(info, info.failure) end
    elseif info.served and not info.proved and hasProved(info) then
      info.proved = true
      if not info.failed then succeed() end
    end
    if info.answered and not info.failed and not (before and before.answered) then answers() end
    if before then
      if info.startId then redis.call('ZREM', STARTING, info.startId) end
    else
      local wasGivenUp = info.startId and comesBack(info.startId)
      info.start = endItsStart(info.startId)
      local isLate = false
      if not info.start and info.placesMax then
        if info.placesAreStrict then isLate = isOneTooMany(info) else isLate = said == 0 and info.startId and isTooLate(sum, info) end
      end
      if isLate then
        info.state, info.settled = 'draining', true
        turnedAway[#turnedAway + 1] = id
        if info.startId then settle(info.startId, 'turned_away') end
      elseif not info.start and wasGivenUp then
        info.start = info.startId
      end
    end
    if not (before and before.state == 'draining') then settleGood(info) end
    info.placesMax, info.placesAreStrict = nil, nil
    isNews = isNews or not before or isAnother(info, before)
    changed[#changed + 1] = info
    count(sum, info, 1)
    store(info)
    -- Nobody knows how much a paused instance would take.
    if info.concurrency > 0 and meta('concurrency') ~= info.concurrency then setMeta('concurrency', info.concurrency) end
  end
end

if #changed > 0 then keepSupply(sum) end
if isNews or whole(redis.call('GET', REVISION)) == 0 then revise() end

local function newer(a, b)
  return not b or a.seq > b.seq or (a.seq == b.seq and a.id > b.id)
end

-- The newest ready instance is remembered: only an instance of this beat can be newer, unless the remembered one is not ready any more.
local function newestReady()
  if sum.ready == 0 then return nil end
  local id = redis.call('HGET', META, 'newest')
  local newest = id and stored(id)
  if newest and newest.state == 'ready' then
    for _, info in ipairs(changed) do
      if info.state == 'ready' and newer(info, newest) and redis.call('HEXISTS', INSTANCES, info.id) == 1 then newest = info end
    end
  else
    newest = nil
    for _, instance in ipairs(instances()) do
      if instance.info.state == 'ready' and newer(instance.info, newest) then newest = instance.info end
    end
  end
  if newest and newest.id ~= id then setMeta('newest', newest.id) end
  return newest
end

local newest = newestReady() or { id = '', node = '' }
local starting = redis.call('ZCARD', STARTING) + sum.warming

local largest = -1
if asks % 2 == 1 then
  largest = 0
  for _, instance in ipairs(instances()) do
    local info = instance.info
    largest = math.max(largest, isWhole(info.most, concurrencyMax) and info.most or info.concurrency)
  end
end

-- The newest ones; those that are to be replaced count as long as there are no others.
local function readyOnes()
  local restarted = meta('restartUntil') > now and meta('restartSeq') or -1
  local ready, old = {}, {}
  for _, instance in ipairs(instances()) do
    local list = instance.info.seq > restarted and ready or old
    if instance.info.state == 'ready' then list[#list + 1] = instance.info end
  end
  if #ready == 0 then ready = old end
  table.sort(ready, newer)
  local homes = {}
  for i = 1, math.min(#ready, readyMax) do
    homes[#homes + 1] = ready[i].id
    homes[#homes + 1] = ready[i].node
  end
  return homes
end

local ready = asks % 4 >= 2 and readyOnes() or nil
if isDue then keep() end
local held = whole(redis.call('HGET', HOLDERS, node))
local elsewhere = math.max(0, redis.call('ZCARD', HELD) - held)
return { now, known, held, missing, newest.id, newest.node, starting, audited or {}, numbered, turnedAway, largest, elsewhere, redis.call('GET', REVISION), ready }
