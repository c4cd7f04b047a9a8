-- Slots lie idle at a node: promises them to the oldest clients held elsewhere.
--
-- ARGV     1 node  2 its address  3 its idle slots  4 1 to end promises first that their nodes would have heard of by now
--          5 the node if the script tells others of their moves, else empty
-- returns  { now, known, waiting, oldest here, oldest elsewhere, moves, ms for which nobody is to wait }

tend()
local known = touch(ARGV[1], ARGV[2])
setIdle(ARGV[1], ARGV[3])
if ARGV[4] == '1' then lapse('-inf', now + promiseMs - promiseHeardMs) end
local answer = found(ARGV[1], known, match(nil, ARGV[5]))
if known == 0 then keep() end
return answer
