-- The search for slots, shared by hold, offer and short.

local function mostIdle(idle)
  local best, most
  for node, count in pairs(idle) do
    if most == nil or count > most or (count == most and node < best) then best, most = node, count end
  end
  return best
end

-- The nodes' idle slots, and their sum. excluded: a node whose slots don't count, or nil.
local function idleSlots(excluded)
  local idle, total = {}, 0
  local free = redis.call('HGETALL', FREE)
  for i = 1, #free, 2 do
    local count = whole(free[i + 1])
    -- A node whose last slot was promised stays with 0 until it says how many it has: that is no slot of its own clients.
    if free[i] ~= excluded and count > 0 then
      idle[free[i]] = count
      total = total + count
    end
  end
  return idle, total
end

-- Takes the slots that the client costs: those of its own node, where that has some, else it is promised some of the node with most idle slots.
-- With fewer than it costs its own node knows better what to do. Returns whether slots are promised, and how many are taken.
local function take(hold, cost, idle, moves)
  local holder = holderOf(hold)
  local own = idle[holder]
  if own and own < cost then return false, 0 end
  local from = own and holder or mostIdle(idle)
  local taken = math.min(cost, idle[from])
  idle[from] = idle[from] - taken
  if idle[from] == 0 then idle[from] = nil end
  if from == holder then return false, taken end
  promise(hold, now + promiseMs)
  redis.call('HINCRBY', FREE, from, -taken)
  local pair = from .. '\n' .. holder
  moves[pair] = (moves[pair] or 0) + taken
  return true, taken
end

local function matchByAge(open, idle, total, moves)
  local at = 0
  while open > 0 and total > 0 and at < scanMax do
    local batch = redis.call('ZRANGE', HELD, at, at + 99)
    if #batch == 0 then break end
    local promised = redis.call('ZMSCORE', PROMISED, unpack(batch))
    for i, hold in ipairs(batch) do
      if open == 0 or total == 0 then break end
      if not promised[i] then
        open = open - 1
        total = total - 1
        take(hold, 1, idle, moves)
      end
    end
    at = at + 100
  end
end

-- Returns the line that is next and its first client.
local function firstInOrder()
  while true do
    local line = redis.call('ZRANGEBYSCORE', LINES, '-inf', '(' .. restedRange, 'LIMIT', 0, 1)[1]
    if not line then return nil end
    local lined = firstOf(line)
    if lined and holdOf(lined) then return line, lined end
    -- Not one of ours.
    redis.call('ZREM', lined and LINED or LINES, lined or line)
  end
end

-- Clients whose own nodes have slots for them leave the order while the others are found, and their lines count as served.
local function matchFairly(open, idle, total, moves)
  local atHome, tags = {}, {}
  for _ = 1, math.min(open, scanMax) do
    if total <= 0 then break end
    local line, lined = firstInOrder()
    if not line then break end
    local hold = holdOf(lined)
    local _, _, unit, cost = askOf(hold)
    local tag = redis.call('ZSCORE', LINES, line)
    local isPromised, taken = take(hold, cost, idle, moves)
    total = total - taken
    if isPromised then
      if tags[line] then tags[line] = tags[line] + unit end
    else
      tags[line] = tags[line] or tonumber(tag)
      atHome[#atHome + 1] = lined
      redis.call('ZREM', LINED, lined)
      if firstOf(line) then redis.call('ZINCRBY', LINES, unit, line) else redis.call('ZREM', LINES, line) end
    end
  end
  for _, lined in ipairs(atHome) do redis.call('ZADD', LINED, 0, lined) end
  for line, tag in pairs(tags) do
    redis.call('ZREM', LINES, '~' .. line)
    redis.call('ZADD', LINES, exactly(tag), line)
  end
end

local function ring(node, message)
  local heard = redis.pcall('PUBLISH', 'pp:node:' .. node, cjson.encode(message))
  -- The user may not publish: the caller may try.
  return type(heard) == 'number' and heard or -1
end

-- Tells both nodes of a move, except the caller, who sees it in the answer: so a slot is on its way before that answer is.
-- Returns how many hear that their slots are wanted; -1: nobody was told.
local function tell(caller, from, to, address, count)
  if caller == '' or not address then return -1 end
  local route = string.match(META, '^pp:{(.*)}:meta$')
  local heard = 1
  if from ~= caller then heard = ring(from, { t = 'want', route = route, count = count, asker = { id = to, address = address } }) end
  if heard >= 0 and to ~= caller then ring(to, { t = 'coming', route = route, count = count, from = from }) end
  return heard
end

-- Promises idle slots to held clients, in their order. excluded: a node whose slots don't count, or nil. caller: the node that asks for it; '' where
-- messages to nodes do not come from scripts: on a Redis Cluster a channel belongs to the shard of its name.
-- Returns { from, to, to's address, count, how many nodes hear that their slots are wanted or -1, ... }
local function match(excluded, caller)
  local open = redis.call('ZCARD', HELD) - redis.call('ZCARD', PROMISED)
  if open <= 0 then return {} end
  local idle, total = idleSlots(excluded)
  local moves = {}
  if isFair then matchFairly(open, idle, total, moves) else matchByAge(open, idle, total, moves) end

  local flat = {}
  for pair, count in pairs(moves) do
    local from, to = string.match(pair, '^(.*)\n(.*)$')
    local address = redis.call('HGET', PEERS, to)
    for _, value in ipairs({ from, to, address or '', count, tell(caller, from, to, address, count) }) do flat[#flat + 1] = value end
  end
  return flat
end

-- The first client of the node in the order, and the first one of all others: { urgency, value, tag, arrival } or {}. Only some of those who are next are
-- looked at.
local function firstRanks(node)
  local mine, theirs = {}, {}
  local lines = redis.call('ZRANGEBYSCORE', LINES, '-inf', '(' .. restedRange, 'WITHSCORES', 'LIMIT', 0, lookLinesMax)
  for i = 1, #lines, 2 do
    local line = lines[i]
    local tag = exactly(lines[i + 1] - urgencyOf(line) * classRange)
    for _, lined in ipairs(redis.call('ZRANGEBYLEX', LINED, '[' .. line .. ' ', '(' .. line .. '!', 'LIMIT', 0, lookClientsMax)) do
      local hold = holdOf(lined)
      local isMine = isHeldBy(node, hold)
      if #(isMine and mine or theirs) == 0 then
        local first = { urgencyOf(line), string.sub(line, 2), tag, redis.call('ZSCORE', HELD, hold) }
        if isMine then mine = first else theirs = first end
      end
      if #mine > 0 and #theirs > 0 then return mine, theirs end
    end
  end
  return mine, theirs
end

-- Arrival of the oldest unpromised client of the node, and of the oldest one of all others; -1 if there is none. Only the
-- oldest are looked at: if none of the others' is among them, then none is older than this node's, which is all that is asked. If none of
-- this node's is, the last one seen stands for it.
local function oldest(node, here, elsewhere)
  local mine, theirs, at, last = -1, -1, 0, -1
  while at < lookMax and ((here and mine < 0) or (elsewhere and theirs < 0)) do
    local batch = redis.call('ZRANGE', HELD, at, at + 99)
    if #batch == 0 then break end
    local promised = redis.call('ZMSCORE', PROMISED, unpack(batch))
    local arrivals = redis.call('ZMSCORE', HELD, unpack(batch))
    for i, hold in ipairs(batch) do
      last = tonumber(arrivals[i])
      if not promised[i] then
        if isHeldBy(node, hold) then
          if mine < 0 then mine = last end
        elseif theirs < 0 then
          theirs = last
        end
      end
    end
    at = at + 100
  end
  if here and mine < 0 then mine = last end
  return mine, theirs
end

-- The node's clients with a promise.
local function promisedAt(node)
  local mine = {}
  for _, hold in ipairs(redis.call('ZRANGE', PROMISED, 0, -1)) do
    if isHeldBy(node, hold) then mine[#mine + 1] = hold end
  end
  return mine
end

-- Returns the answer of a search for the node: { now, known, waiting, oldest here, oldest elsewhere, moves, ms for which nobody is to wait, {},
-- rank of the first here, rank of the first elsewhere }, and the node's clients with a promise
local function found(node, known, moves)
  local promised = promisedAt(node)
  local waiting = (tonumber(redis.call('HGET', HOLDERS, node)) or 0) - #promised
  local elsewhere = redis.call('ZCARD', HELD) - redis.call('ZCARD', PROMISED) - waiting
  local mine, theirs = oldest(node, waiting > 0, elsewhere > 0)
  local answer = { now, known, waiting, mine, theirs, moves, waiting > 0 and failingMs() or 0 }
  if isFair then
    local here, there = {}, {}
    if redis.call('ZCARD', NODES) > 1 then here, there = firstRanks(node) end
    answer[8], answer[9], answer[10] = {}, here, there
  end
  return answer, promised
end
