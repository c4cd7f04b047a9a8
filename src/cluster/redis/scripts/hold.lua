-- Registers and removes clients held at a node, then searches slots for all who wait. Without clients it is the sweep.
--
-- ARGV     1 node  2 its address  3 its idle slots  4 clients that are served through it, -1 as before
--          5 the most clients that may be held, -1 without limit  6 1 to forget all earlier holds of the node
--          7 how many are removed  8 how many lines follow  9 how many gather  10 the node if the script tells others of their moves, else empty
--          then the ids of those that are removed,
--          then of each line: its key and the service that its clients have got at the node
--          then the ids of those whose slots are brought together at the node,
--          then id and age in ms of each that is added, oldest first; where it asks for something: 'age line unit cost'
-- returns  { now, known, waiting, oldest here, oldest elsewhere, moves, ms for which nobody is to wait, refused ids,
--            rank of the first here, rank of the first elsewhere, { line, tag, pace, ... }, { node, hold, ... } that were put out for more urgent ones }

local node, address, maxHeld = ARGV[1], ARGV[2], tonumber(ARGV[5])
local removed, lines, gathers = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local linesAt = 11 + removed
local gathersAt = linesAt + 2 * lines
local addsAt = gathersAt + gathers

tend()
local known, wasFair = touch(node, address), isFair
setIdle(node, ARGV[3])
setServing(node, ARGV[4])
if ARGV[6] == '1' then
  dropHolds(node)
  checkOrder()
end

if isFair then
  local last = 0
  for i = linesAt, gathersAt - 1, 2 do
    if tonumber(ARGV[i + 1]) > 0 then last = math.max(last, charge(ARGV[i], tonumber(ARGV[i + 1])) % classRange) end
  end
  -- Long before the tags of one class reach the next.
  if last > classRange / 2 then orderAnew() end
end

local change = 0
for i = 11, 10 + removed do
  change = change - dropHold(node .. ':' .. ARGV[i])
end

local putOut = {}
local function makeRoomFor(urgency)
  local last = redis.call('ZREVRANGE', RANKED, 0, 0, 'WITHSCORES')
  if #last == 0 or math.floor(last[2] / 1e13) <= urgency then return false end
  local holder = holderOf(last[1])
  dropHold(last[1])
  if holder == node then
    change = change - 1
  elseif redis.call('HINCRBY', HOLDERS, holder, -1) <= 0 then
    redis.call('HDEL', HOLDERS, holder)
  end
  putOut[#putOut + 1] = holder
  putOut[#putOut + 1] = string.sub(last[1], #holder + 2)
  return true
end

local refused = {}
local room = maxHeld < 0 and math.huge or maxHeld - redis.call('ZCARD', HELD)

local function addByAge(id, ageMs)
  local hold = node .. ':' .. id
  if room > 0 then
    local added = redis.call('ZADD', HELD, 'NX', now - ageMs, hold)
    room = room - added
    change = change + added
  elseif not redis.call('ZSCORE', HELD, hold) then
    refused[#refused + 1] = id
  end
end

local function addFairly(id, ageMs, asked, unit, cost)
  local hold = node .. ':' .. id
  if redis.call('ZSCORE', HELD, hold) then return end
  if room <= 0 and not makeRoomFor(urgencyOf(asked)) then
    refused[#refused + 1] = id
    return
  end
  room = math.max(0, room - 1)
  redis.call('ZADD', HELD, now - ageMs, hold)
  enter(hold, now - ageMs, asked, unit, cost)
  change = change + 1
end

for i = addsAt, #ARGV, 2 do
  local age, asked, unit, cost = string.match(ARGV[i + 1], '^(%d+) (%S+) (%S+) (%d+)$')
  if asked and not isFair then orderAnew() end
  if not isFair then
    addByAge(ARGV[i], ARGV[i + 1])
  elseif asked then
    addFairly(ARGV[i], age, asked, unit, cost)
  else
    addFairly(ARGV[i], ARGV[i + 1], '3', '1', '1')
  end
end
if change ~= 0 and redis.call('HINCRBY', HOLDERS, node, change) <= 0 then redis.call('HDEL', HOLDERS, node) end
checkOrder()

for i = gathersAt, addsAt - 1 do
  local hold = node .. ':' .. ARGV[i]
  if redis.call('ZSCORE', PROMISED, hold) then
    redis.call('ZADD', PROMISED, now + promiseMs, hold)
  elseif redis.call('ZSCORE', HELD, hold) then
    promise(hold, now + promiseMs)
  end
end

local answer, promisedHere = found(node, known, match(nil, ARGV[10]))
-- Nodes with idle slots see to it that messages about these clients were not lost.
if answer[3] + #promisedHere > 0 then reviseAgain() end
answer[8] = refused
if isFair then
  -- To the node those of its clients that have a promise wait like the others.
  local tags, promised = {}, {}
  for _, hold in ipairs(linesAt < gathersAt and promisedHere or {}) do
    local _, line, unit = askOf(hold)
    promised[line] = (promised[line] or 0) + unit
  end
  for i = linesAt, gathersAt - 1, 2 do
    local urgency = urgencyOf(ARGV[i])
    local ready, rested = redis.call('ZSCORE', LINES, ARGV[i]), redis.call('ZSCORE', LINES, '~' .. ARGV[i])
    local tag = ready and ready - urgency * classRange or rested and rested - restedRange - urgency * classRange
    if tag then
      tags[#tags + 1] = ARGV[i]
      tags[#tags + 1] = exactly(tag - (promised[ARGV[i]] or 0))
      tags[#tags + 1] = exactly(paceOf(urgency))
    end
  end
  answer[11], answer[12] = tags, putOut
end
if known == 0 or isFair ~= wasFair then keep() end
return answer
