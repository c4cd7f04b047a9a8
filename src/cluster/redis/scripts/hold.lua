-- Registers and removes clients held at a node, then searches slots for all who wait. Without clients it is the sweep.
--
-- ARGV     1 node  2 its address  3 its idle slots  4 clients that are served through it, -1 as before
--          5 the most clients that may be held, -1 without limit  6 1 to forget all earlier holds of the node
--          7 how many are removed, then their ids,
--          then id and age in ms of each that is added, oldest first
-- returns  { now, known, waiting, oldest here, oldest elsewhere, moves, ms for which nobody is to wait, refused ids }

local node, address, maxHeld = ARGV[1], ARGV[2], tonumber(ARGV[5])
local removed = tonumber(ARGV[7])

tend()
local known = touch(node, address)
setIdle(node, ARGV[3])
setServing(node, ARGV[4])
if ARGV[6] == '1' then dropHolds(node) end

local change = 0
for i = 8, 7 + removed do
  local hold = node .. ':' .. ARGV[i]
  change = change - redis.call('ZREM', HELD, hold)
  redis.call('ZREM', PROMISED, hold)
end

local refused = {}
local room = maxHeld < 0 and math.huge or maxHeld - redis.call('ZCARD', HELD)
for i = 8 + removed, #ARGV, 2 do
  local hold = node .. ':' .. ARGV[i]
  if room > 0 then
    local added = redis.call('ZADD', HELD, 'NX', now - ARGV[i + 1], hold)
    room = room - added
    change = change + added
  elseif not redis.call('ZSCORE', HELD, hold) then
    refused[#refused + 1] = ARGV[i]
  end
end
if change ~= 0 and redis.call('HINCRBY', HOLDERS, node, change) <= 0 then redis.call('HDEL', HOLDERS, node) end

local answer = found(node, known, match(nil))
answer[8] = refused
if known == 0 then keep() end
return answer
