-- The held clients of a route and their order; redis/scripts.ts puts it before each script of a route.
--
-- KEYS  the route's keys, always all of them and in this order: one hash slot, see keys.ts
-- Times are Redis's own in ms, so that the clocks of nodes do not decide who waits longer.

local NODES, PEERS, HELD, HOLDERS, PROMISED, FREE, SERVING, INSTANCES, STARTING, BEGUN, JOBS, META, ENDED, ASKS, LINED, LINES, RANKED, REVISION = unpack(KEYS)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Anybody may have written the values that are read here: a value is used only when it is a number.
local function isWhole(value, most)
  return type(value) == 'number' and value >= 0 and value <= most and value == math.floor(value)
end

local function whole(text)
  local value = tonumber(text)
  return isWhole(value, wholeMax) and value or 0
end

local function sumOf(counts)
  local sum = 0
  for _, count in ipairs(counts) do sum = sum + whole(count) end
  return sum
end

local function holderOf(hold)
  return string.sub(hold, 1, (string.find(hold, ':', 1, true) or 0) - 1)
end

local function isHeldBy(node, hold)
  return string.sub(hold, 1, #node + 1) == node .. ':'
end

-- Calls visit(hold, arrival) for all held clients, oldest first. visit may not change HELD.
local function eachHeld(visit)
  local at = 0
  while true do
    local batch = redis.call('ZRANGE', HELD, at, at + 999, 'WITHSCORES')
    for i = 1, #batch, 2 do
      visit(batch[i], tonumber(batch[i + 1]))
    end
    if #batch < 2000 then return end
    at = at + 1000
  end
end

-- Where nobody asks for anything, clients are served in the order of HELD. Otherwise the order is that of fair-order.ts, with the same names:
--   ASKS    hold → 'ask's line, its line, unit, cost'
--   LINED   'line arrival hold' for each client without a promise: the first of a line by the order of texts
--   LINES   line → its tag, in the range of its class; those without clients begin with '~'; 'P' and a class → the pace of the class
--   RANKED  hold → class and arrival: the last one is the youngest of the least urgent
local isFair = redis.call('EXISTS', ASKS) == 1
local classRange, restedRange, paceRange = 1e11, 8e11, 16e11
local plainAsk = '3 3 1 1'

local function exactly(number) return string.format('%.17g', number) end

local function readAsk(text)
  local asked, line, unit, cost = string.match(text or plainAsk, '^([0-7][^ ]*) ([0-7][^ ]*) (%d+%.?%d*) (%d+)$')
  if not asked or #text > askCharsMax then return '3', '3', 1, 1 end
  return asked, line, tonumber(unit), tonumber(cost)
end

local function askOf(hold) return readAsk(redis.call('HGET', ASKS, hold) or plainAsk) end

local function urgencyOf(line) return tonumber(string.sub(line, 1, 1)) or 3 end

local function paceOf(urgency)
  local range = urgency * classRange
  local kept = redis.call('ZSCORE', LINES, 'P' .. urgency)
  local first = redis.call('ZRANGEBYSCORE', LINES, range, exactly(range + classRange - 1), 'WITHSCORES', 'LIMIT', 0, 1)[2]
  return math.max(kept and kept - paceRange - range or credit, first and first - range or 0)
end

-- The line of clients who ask for this one; it is there from now on.
local function lineOf(asked)
  local urgency = urgencyOf(asked)
  local range, pace = urgency * classRange, paceOf(urgency)
  redis.call('ZADD', LINES, exactly(paceRange + range + pace), 'P' .. urgency)
  redis.call('ZREMRANGEBYSCORE', LINES, restedRange + range, exactly(restedRange + range + pace - credit))
  local line = asked
  if redis.call('ZSCORE', LINES, line) or redis.call('ZSCORE', LINES, '~' .. line) then return line end
  if redis.call('ZCOUNT', LINES, '-inf', '(' .. paceRange) >= linesMax then line = urgency .. '+' end
  if redis.call('ZSCORE', LINES, line) or redis.call('ZSCORE', LINES, '~' .. line) then return line end
  redis.call('ZADD', LINES, exactly(restedRange + range + pace - credit), '~' .. line)
  return line
end

local function firstOf(line)
  return redis.call('ZRANGEBYLEX', LINED, '[' .. line .. ' ', '(' .. line .. '!', 'LIMIT', 0, 1)[1]
end

local function holdOf(lined) return string.match(lined, '^%S+ %d+ (.*)$') end

local function linedAs(line, arrival, hold) return string.format('%s %014.0f %s', line, arrival, hold) end

local function enter(hold, arrival, asked, unit, cost)
  local line = lineOf(asked)
  if tonumber(cost) > 1 then
    redis.call('HSET', META, 'heavy', 1)
    redis.call('PEXPIRE', META, concurrencyLivesMs)
  end
  redis.call('HSET', ASKS, hold, string.format('%s %s %s %d', asked, line, unit, cost))
  redis.call('ZADD', LINED, 0, linedAs(line, arrival, hold))
  redis.call('ZADD', RANKED, urgencyOf(line) * 1e13 + arrival, hold)
  local rested = redis.call('ZSCORE', LINES, '~' .. line)
  if not rested then return end
  redis.call('ZREM', LINES, '~' .. line)
  redis.call('ZADD', LINES, exactly(rested - restedRange), line)
end

-- The client leaves the order, and stays held.
local function unline(hold, line)
  redis.call('ZREM', LINED, linedAs(line, redis.call('ZSCORE', HELD, hold) or 0, hold))
  redis.call('ZREM', RANKED, hold)
  local tag = redis.call('ZSCORE', LINES, line)
  if not tag or firstOf(line) then return end
  redis.call('ZREM', LINES, line)
  local range = urgencyOf(line) * classRange
  local kept = redis.call('ZSCORE', LINES, 'P' .. urgencyOf(line))
  local pace = kept and kept - paceRange - range or credit
  if tag - range > pace - credit then redis.call('ZADD', LINES, exactly(tag + restedRange), '~' .. line) end
end

local function moveTag(line, units)
  for _, name in ipairs({ line, '~' .. line }) do
    if redis.call('ZSCORE', LINES, name) then return tonumber(redis.call('ZINCRBY', LINES, exactly(units), name)) end
  end
  return 0
end

-- The clients of such an ask have got so much service.
local function charge(asked, units) return moveTag(lineOf(asked), units) end

local function promise(hold, until_)
  if isFair then
    local _, line, unit = askOf(hold)
    moveTag(line, unit)
    unline(hold, line)
  end
  redis.call('ZADD', PROMISED, until_, hold)
end

-- The client waits on without a promise.
local function unpromise(hold)
  if redis.call('ZREM', PROMISED, hold) == 0 or not isFair then return end
  local asked, line, unit, cost = askOf(hold)
  local arrival = redis.call('ZSCORE', HELD, hold)
  moveTag(line, -unit)
  if arrival then enter(hold, arrival, asked, unit, cost) end
end

-- The client is held no more. Returns 1 where it was.
local function dropHold(hold)
  local wasPromised = redis.call('ZREM', PROMISED, hold) == 1
  if isFair then
    local _, line, unit = askOf(hold)
    if wasPromised then moveTag(line, -unit) else unline(hold, line) end
    redis.call('HDEL', ASKS, hold)
  end
  return redis.call('ZREM', HELD, hold)
end

-- Makes the order anew, for all who are held.
local function orderAnew()
  redis.call('UNLINK', LINED, LINES, RANKED)
  isFair = true
  local promised = {}
  for _, hold in ipairs(redis.call('ZRANGE', PROMISED, 0, -1)) do promised[hold] = true end
  local known = redis.call('HGETALL', ASKS)
  for i = 1, #known, 2 do
    if not redis.call('ZSCORE', HELD, known[i]) then redis.call('HDEL', ASKS, known[i]) end
  end
  eachHeld(function(hold, arrival)
    local asked, _, unit, cost = askOf(hold)
    enter(hold, arrival, asked, unit, cost)
    if not promised[hold] then return end
    local _, line = askOf(hold)
    moveTag(line, unit)
    unline(hold, line)
  end)
end

-- Anybody may have removed or written entries, and nodes may not all have heard yet of new settings of the route.
local function checkOrder()
  if not isFair then return end
  local held = redis.call('ZCARD', HELD)
  if held == 0 then
    redis.call('UNLINK', ASKS, LINED, LINES, RANKED)
    redis.call('HDEL', META, 'heavy')
    isFair = false
  elseif redis.call('HLEN', ASKS) ~= held or redis.call('ZCARD', LINED) + redis.call('ZCARD', PROMISED) ~= held
    or redis.call('ZCARD', RANKED) ~= redis.call('ZCARD', LINED) or redis.call('ZCOUNT', LINES, '-inf', '(' .. restedRange) == 0 and redis.call('ZCARD', LINED) > 0 then
    orderAnew()
  end
end

local function dropHolds(node)
  if redis.call('HDEL', HOLDERS, node) == 0 then return end
  local own = {}
  eachHeld(function(hold)
    if isHeldBy(node, hold) then own[#own + 1] = hold end
  end)
  if isFair then
    for _, hold in ipairs(own) do dropHold(hold) end
    checkOrder()
    return
  end
  -- Lua's stack holds 8,000 values.
  for at = 1, #own, 1000 do
    local part = { unpack(own, at, math.min(at + 999, #own)) }
    redis.call('ZREM', HELD, unpack(part))
    redis.call('ZREM', PROMISED, unpack(part))
  end
end

