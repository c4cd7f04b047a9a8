-- The common part of a route's scripts, after _held; redis/scripts.ts puts it before each of them.

local function meta(field)
  return whole(redis.call('HGET', META, field))
end

-- A key of a route, see config/route-key.ts: nothing is remembered of it for long.
local isKeyed = string.find(META, '~', 1, true) ~= nil

local function setMeta(...)
  redis.call('HSET', META, ...)
  redis.call('PEXPIRE', META, isKeyed and math.max(keyedRememberedMs, redis.call('PTTL', STARTING)) or concurrencyLivesMs)
end

-- Something has changed that nodes are to hear of which rest here: they look at the revision once a second, and send a beat when it is another one. It is
-- about Redis's time, so that one that was lost does not come back.
local function revise()
  local last = whole(redis.call('GET', REVISION))
  local next = (last < now or last > now + clockStepMs) and now or last + 1
  redis.call('SET', REVISION, string.format('%.0f', next), 'PX', keysLiveMs)
end

-- The same for what goes on for a while, at most once in a beat.
local function reviseAgain()
  local last = whole(redis.call('GET', REVISION))
  if now - last >= beatMs or last > now + clockStepMs then revise() end
end

-- The time of a beat ends in .5 where the node rests here: it sends the next one much later.
local function restOf(at)
  return at < wholeMax and at % 1 or 0
end

-- An instance as its node has described it; nil when the description is invalid.
local function decode(json)
  if not json or #json > instanceCharsMax then return nil end
  local isJson, info = pcall(cjson.decode, json)
  if not isJson or type(info) ~= 'table' or type(info.id) ~= 'string' or type(info.node) ~= 'string' or type(info.state) ~= 'string' then return nil end
  if info.readyAt ~= nil and not isWhole(info.readyAt, wholeMax) then return nil end
  return isWhole(info.concurrency, concurrencyMax) and isWhole(info.seq, wholeMax) and info or nil
end

-- Returns the living instances: a list of { id, decoded }. Instances with an invalid description are removed: their node writes them again.
local function instances()
  local list = {}
  local stored = redis.call('HGETALL', INSTANCES)
  for i = 1, #stored, 2 do
    local info = decode(stored[i + 1])
    if info and info.id == stored[i] then
      list[#list + 1] = { id = stored[i], info = info }
    else
      redis.call('HDEL', INSTANCES, stored[i])
      revise()
    end
  end
  return list
end

-- One instance more (1) or less (-1).
local function count(sum, info, change)
  if info.state == 'ready' then
    sum.ready = sum.ready + change
    sum.slots = sum.slots + change * info.concurrency
  elseif info.state == 'starting' then
    sum.warming = sum.warming + change
  end
end

local function countAll()
  local sum = { ready = 0, slots = 0, warming = 0 }
  for _, instance in ipairs(instances()) do count(sum, instance.info, 1) end
  return sum
end

-- Sums over the instances: { ready ones, their slots, those that are linked and not ready yet }. They are kept in META, because a look
-- at all instances takes long when there are many. They are wrong when INSTANCES has expired and META has not.
local function supply()
  local size = redis.call('HLEN', INSTANCES)
  local kept = redis.call('HMGET', META, 'counted', 'ready', 'slots', 'warming')
  if tonumber(kept[1]) == size then return { ready = whole(kept[2]), slots = whole(kept[3]), warming = whole(kept[4]) } end
  -- Their nodes write again those that are lost.
  if whole(kept[1]) > size then revise() end
  return countAll()
end

-- Instances whose applications take nothing now. They are no supply, and are there all the same.
local function pausedOnes()
  local paused = 0
  for _, instance in ipairs(instances()) do
    if instance.info.state == 'paused' then paused = paused + 1 end
  end
  return paused
end

local function keepSupply(sum)
  setMeta('counted', redis.call('HLEN', INSTANCES), 'ready', sum.ready, 'slots', sum.slots, 'warming', sum.warming)
end

-- How a start has ended. A scaler takes it from here, counts it, and cleans up after one that failed: from `due` on, because an instance whose link
-- broke may come back.
local function settle(startId, outcome, due)
  if redis.call('HLEN', ENDED) >= endedMax then return end
  redis.call('HSET', ENDED, startId, (due or now) .. ' ' .. outcome)
  redis.call('PEXPIRE', ENDED, isKeyed and keyedRememberedMs or endedLivesMs)
end

-- How the start of an instance has ended, once; the caller stores the instance.
local function settleOf(instance, outcome, due)
  if not instance.start or instance.settled then return end
  instance.settled = true
  settle(instance.start, outcome, due)
end

-- Nobody hears of the instance any more. Unless it comes back, its machine may be lost, and what was started there is to be cleaned up.
local function lose(instance)
  if instance.startId and instance.state ~= 'draining' then settle('lost:' .. instance.startId, 'lost', now + lostAfterMs) end
end

-- Removes all that the node has at the route.
local function forget(node)
  redis.call('ZREM', NODES, node)
  redis.call('HDEL', PEERS, node)
  redis.call('HDEL', FREE, node)
  redis.call('HDEL', SERVING, node)
  dropHolds(node)
  local sum, gone = supply(), 0
  for _, instance in ipairs(instances()) do
    if instance.info.node == node then
      lose(instance.info)
      gone = gone + redis.call('HDEL', INSTANCES, instance.id)
      count(sum, instance.info, -1)
    end
  end
  if gone > 0 then
    keepSupply(sum)
    revise()
  end
end

-- One more start in a row has failed. From failuresMax on the next one is tried after a pause.
local function fail(reason)
  setMeta('failure', string.sub(reason, 1, reasonCharsMax), 'failedAt', now)
  redis.call('HDEL', META, 'doubted')
  if redis.call('HINCRBY', META, 'failures', 1) < failuresMax or meta('retryAt') > now then return end
  local pauses = redis.call('HINCRBY', META, 'pauses', 1)
  redis.call('HSET', META, 'retryAt', now + math.min(retryLastMs, retryFirstMs * 2 ^ (pauses - 1)))
end

-- Starts work again.
local function succeed()
  redis.call('HDEL', META, 'failures', 'failure', 'failedAt', 'pauses', 'retryAt', 'doubted')
end

-- An instance has answered for the first time: the trouble is over, and starts do not wait any more. The failures still count
-- if this instance also ends soon: an application that answers once and crashes must not be started without a pause.
local function answers()
  if meta('failures') == 0 then return end
  setMeta('doubted', 1)
  redis.call('HDEL', META, 'retryAt')
end

-- The instance's start has failed. It is counted once, however many of its faults are noticed, and the last one is shown; the caller stores
-- the instance.
local function failOnce(instance, reason)
  if instance.failed then
    if meta('failures') > 0 then setMeta('failure', string.sub(reason, 1, reasonCharsMax)) end
    return
  end
  instance.failed = true
  fail(reason)
end

-- Whether the instance has lived long enough that its end is no failed start. A clock that was set back must not make it young for an hour.
local function hasProved(instance)
  if instance.proved then return true end
  -- A node of 0.1 wrote it, and it was ready.
  if not instance.readyAt then return instance.served == true end
  if instance.readyAt > now then instance.readyAt = now end
  return now - instance.readyAt >= provedAfterMs
end

-- An instance that was ready leaves, or is gone. What it did until then says whether its start was a good one: it has if it lived long enough,
-- or if it answered and was told to leave. One that is told to leave before that says nothing about the next start.
--   why: how its application ended by itself, or nil  due: when to clean up after it
local function ended(instance, why, due)
  local isGood = hasProved(instance) or (instance.answered and not why)
  settleOf(instance, (isGood or not why) and 'linked' or 'ended_early', due)
  if isGood then
    if not instance.failed then succeed() end
  elseif why then
    failOnce(instance, string.format('instance %s ended %.1f s after it was ready: %s', instance.id, (now - instance.readyAt) / 1000, why))
  end
end

-- { failures in a row, why the last one failed, ms since then, ms until the next start is tried }, or {} where the last start succeeded
local function trouble()
  local failures = meta('failures')
  if failures == 0 or meta('doubted') == 1 then return {} end
  return { failures, redis.call('HGET', META, 'failure') or '', now - meta('failedAt'), math.max(0, meta('retryAt') - now) }
end

-- Moves all times of a sorted set by so many ms.
local function shift(key, ms)
  local at = 0
  local moved = {}
  while true do
    local batch = redis.call('ZRANGE', key, at, at + 999, 'WITHSCORES')
    for i = 1, #batch, 2 do moved[#moved + 1] = { tonumber(batch[i + 1]) + ms, batch[i] } end
    if #batch < 2000 then break end
    at = at + 1000
  end
  for _, one in ipairs(moved) do redis.call('ZADD', key, one[1], one[2]) end
end

-- Whether Redis itself may have been stopped: that is possible when even the latest beat of all nodes is too old. Then all nodes get the time
-- of a beat once more. A node that really died was removed by others before.
local function stoodStill()
  local last = math.floor(tonumber(redis.call('ZREVRANGE', NODES, 0, 0, 'WITHSCORES')[2]))
  -- The keys of nodes that were silent for longer have lapsed.
  if last <= now - deadAfterMs and last > now - keysLiveMs and meta('silentSince') ~= last then
    setMeta('silentSince', last, 'sparedUntil', now + deadAfterMs)
    revise()
    -- Nothing could link meanwhile, or the clock was set forward.
    shift(STARTING, now - last)
  end
  return now < meta('sparedUntil')
end

-- Redis's clock was set back: all times are moved by the same step, so that the order of clients stays and
-- nothing waits for an hour. It was set back if the beats of all nodes are in the future. The future beat of a single node is a mistake, and is set to now.
local function followClock()
  local late = redis.call('ZRANGEBYSCORE', NODES, '(' .. now + clockStepMs, '+inf', 'WITHSCORES')
  local newest = 0
  for i = 1, #late, 2 do
    local at = tonumber(late[i + 1])
    if at < wholeMax then newest = math.max(newest, math.floor(at)) end
    redis.call('ZADD', NODES, now + restOf(at), late[i])
  end
  if #late > 0 then revise() end
  if newest > 0 and #late / 2 >= redis.call('ZCARD', NODES) then
    shift(HELD, now - newest)
    redis.call('UNLINK', PROMISED)
    if isFair then orderAnew() end
  else
    -- Where no node is, the last start tells.
    newest = tonumber(redis.call('ZREVRANGE', BEGUN, 0, 0, 'WITHSCORES')[2]) or 0
    if newest <= now + clockStepMs or newest > wholeMax then return end
  end
  shift(STARTING, now - newest)
  shift(BEGUN, now - newest)
  local jobs = redis.call('HGETALL', JOBS)
  for i = 1, #jobs, 2 do redis.call('HSET', JOBS, jobs[i], whole(jobs[i + 1]) + now - newest) end
  -- Redis keeps the moment at which a key expires, which is later now by the same step.
  for _, key in ipairs({ STARTING, BEGUN, JOBS }) do
    local left = redis.call('PTTL', key)
    if left > 0 then redis.call('PEXPIRE', key, math.max(keysLiveMs, left + now - newest)) end
  end
  for _, field in ipairs({ 'failedAt', 'retryAt', 'wantedUntil', 'restartUntil', 'silentSince', 'sparedUntil' }) do
    if meta(field) > 0 then setMeta(field, meta(field) + now - newest) end
  end
end

-- Promises that would lapse between these times end now.
local function lapse(from, to)
  if isFair then
    for _, hold in ipairs(redis.call('ZRANGEBYSCORE', PROMISED, from, to)) do unpromise(hold) end
  else
    redis.call('ZREMRANGEBYSCORE', PROMISED, from, to)
  end
end

-- Removes dead nodes with all their entries, and expired promises and starts. Comes first in every script, so that the rest
-- sees only living entries.
local function tend()
  followClock()
  local late, dead = redis.call('ZRANGEBYSCORE', NODES, '-inf', now - deadAfterMs, 'WITHSCORES'), {}
  for i = 1, #late, 2 do
    local at = tonumber(late[i + 1])
    if restOf(at) == 0 or at <= now - restDeadAfterMs then dead[#dead + 1] = late[i] end
  end
  if #dead > 0 and not stoodStill() then
    for _, node in ipairs(dead) do forget(node) end
    -- They may live, and know nothing of it.
    revise()
  end
  -- Without nodes there is nothing: keys that were made after the last keep() may have outlived all nodes. Without a revision nodes that rest here say all again.
  if redis.call('EXISTS', NODES) == 0 then
    redis.call('UNLINK', PEERS, HELD, HOLDERS, PROMISED, FREE, SERVING, INSTANCES, ASKS, LINED, LINES, RANKED, REVISION)
  end
  -- When the clock was set back, promises seem to last for longer than any is made.
  lapse('-inf', now)
  lapse(now + promiseMs + 1, '+inf')
  checkOrder()
  for _, start in ipairs(redis.call('ZRANGEBYSCORE', STARTING, '-inf', now)) do
    redis.call('ZREM', STARTING, start)
    settle(start, 'not_linked')
    fail('start ' .. start .. ' did not become an instance in time')
    revise()
  end
end

local function isKeepDue()
  local left = redis.call('PTTL', NODES)
  return left <= keysLiveMs - keepEveryMs or left > keysLiveMs
end

-- Entries outlive the last beat by keysLiveMs, or by keepEveryMs less.
local function keep()
  for _, key in ipairs({ NODES, PEERS, HELD, HOLDERS, PROMISED, FREE, SERVING, INSTANCES, REVISION }) do
    redis.call('PEXPIRE', key, keysLiveMs)
  end
  if isKeyed then setMeta('kept', now) end
  if not isFair then return end
  for _, key in ipairs({ ASKS, LINED, LINES, RANKED }) do redis.call('PEXPIRE', key, keysLiveMs) end
end

-- The node lives and is at this route, at rest from now on or not. Returns 1 when that was known, else 0.
local function touch(node, address, rests)
  local known = redis.call('ZADD', NODES, rests and now + 0.5 or now, node) == 0
  redis.call('HSET', PEERS, node, address)
  return known and 1 or 0
end

local function setIdle(node, idle)
  if tonumber(idle) > 0 then redis.call('HSET', FREE, node, idle) else redis.call('HDEL', FREE, node) end
end

-- How many clients are being served through the node; below 0: unchanged.
local function setServing(node, count)
  count = tonumber(count)
  if count > 0 then redis.call('HSET', SERVING, node, count) elseif count == 0 then redis.call('HDEL', SERVING, node) end
end

-- How long clients should not wait here: starts keep failing, and no instance is there or on its way. 0: clients may wait.
local function failingMs()
  local retryInMs = meta('retryAt') - now
  if retryInMs <= 0 or redis.call('ZCARD', STARTING) > 0 then return 0 end
  local sum = supply()
  return sum.ready + sum.warming + pausedOnes() > 0 and 0 or retryInMs
end
