-- Slots that were promised can't come: the count was stale, the linker can't reach the asker, or the node doesn't listen.
-- The asker's latest promises are void, and the search goes on without that node.
--
-- ARGV     1 the node they were to come from  2 the asker  3 how many  4 idle slots left at that node
-- returns  { now, known, waiting, oldest here, oldest elsewhere, moves, ms for which nobody is to wait }, the asker's

local from, asker, count = ARGV[1], ARGV[2], tonumber(ARGV[3])

tend()
-- A node that is gone must not come back as a free slot.
if redis.call('ZSCORE', NODES, from) then setIdle(from, ARGV[4]) end

local promised = redis.call('ZRANGE', PROMISED, 0, -1, 'REV')
for _, hold in ipairs(promised) do
  if count == 0 then break end
  if isHeldBy(asker, hold) then
    redis.call('ZREM', PROMISED, hold)
    count = count - 1
  end
end
return found(asker, 1, match(from))
