-- The search for slots, shared by hold, offer and short.

local function mostIdle(idle)
  local best, most
  for node, count in pairs(idle) do
    if most == nil or count > most or (count == most and node < best) then best, most = node, count end
  end
  return best
end

-- Promises idle slots to held clients, oldest client first, from the node with most idle slots. A client whose own node has
-- an idle slot gets that slot. excluded: a node whose slots don't count, or nil.
-- Returns { from, to, to's address, count, ... }
local function match(excluded)
  local open = redis.call('ZCARD', HELD) - redis.call('ZCARD', PROMISED)
  if open <= 0 then return {} end
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

  local moves, at = {}, 0
  while open > 0 and total > 0 and at < scanMax do
    local batch = redis.call('ZRANGE', HELD, at, at + 99)
    if #batch == 0 then break end
    local promised = redis.call('ZMSCORE', PROMISED, unpack(batch))
    for i, hold in ipairs(batch) do
      if open == 0 or total == 0 then break end
      if not promised[i] then
        open = open - 1
        local holder = holderOf(hold)
        local from = idle[holder] and holder or mostIdle(idle)
        idle[from] = idle[from] - 1
        if idle[from] == 0 then idle[from] = nil end
        total = total - 1
        if from ~= holder then
          redis.call('ZADD', PROMISED, now + promiseMs, hold)
          redis.call('HINCRBY', FREE, from, -1)
          local pair = from .. '\n' .. holder
          moves[pair] = (moves[pair] or 0) + 1
        end
      end
    end
    at = at + 100
  end

  local flat = {}
  for pair, count in pairs(moves) do
    local from, to = string.match(pair, '^(.*)\n(.*)$')
    local address = redis.call('HGET', PEERS, to)
    for _, value in ipairs({ from, to, address or '', count }) do flat[#flat + 1] = value end
  end
  return flat
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

-- Returns the answer of a search for the node: { now, known, waiting, oldest here, oldest elsewhere, moves, ms for which nobody is to wait }
local function found(node, known, moves)
  local promisedHere = 0
  local promised = redis.call('ZRANGE', PROMISED, 0, -1)
  for _, hold in ipairs(promised) do
    if isHeldBy(node, hold) then promisedHere = promisedHere + 1 end
  end
  local waiting = (tonumber(redis.call('HGET', HOLDERS, node)) or 0) - promisedHere
  local elsewhere = redis.call('ZCARD', HELD) - #promised - waiting
  local mine, theirs = oldest(node, waiting > 0, elsewhere > 0)
  return { now, known, waiting, mine, theirs, moves, waiting > 0 and failingMs() or 0 }
end
