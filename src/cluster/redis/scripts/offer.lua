-- Slots lie idle at a node: promises them to the oldest clients held elsewhere.
--
-- ARGV     1 node  2 its address  3 its idle slots
-- returns  { now, known, waiting, oldest here, oldest elsewhere, moves, ms for which nobody is to wait }

tend()
local known = touch(ARGV[1], ARGV[2])
setIdle(ARGV[1], ARGV[3])
local answer = found(ARGV[1], known, match(nil))
if known == 0 then keep() end
return answer
