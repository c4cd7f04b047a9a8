-- Slots that were promised can't come: the count was stale, the linker can't reach the asker, or the node doesn't listen.
-- The promises to the asker's youngest clients are void, and the search goes on without that node.
--
-- ARGV     1 the node they were to come from  2 the asker  3 how many slots  4 idle slots left at that node
--          5 the node that says so, if the script tells others of their moves, else empty
-- returns  { now, known, waiting, oldest here, oldest elsewhere, moves, ms for which nobody is to wait }, the asker's

local from, asker, count = ARGV[1], ARGV[2], tonumber(ARGV[3])

tend()
reviseAgain()
-- A dead node must not come back as a free slot, and a name that was never a node has none.
if redis.call('ZSCORE', NODES, from) then setIdle(from, ARGV[4]) else redis.call('HDEL', FREE, from) end

local mine = {}
for _, hold in ipairs(promisedAt(asker)) do
  mine[#mine + 1] = { hold, tonumber(redis.call('ZSCORE', HELD, hold) or 0) }
end
table.sort(mine, function(a, b) return a[2] > b[2] or (a[2] == b[2] and a[1] > b[1]) end)
for _, one in ipairs(mine) do
  if count <= 0 then break end
  count = count - (isFair and select(4, askOf(one[1])) or 1)
  unpromise(one[1])
end
return found(asker, 1, match(from, ARGV[5]))
