-- Removes a start.
--
-- ARGV     1 start id  2 why it failed, or '' if it did not  3 1 if it is wanted again
-- returns  1, or 0 when it was not waited for any more

local known = redis.call('ZREM', STARTING, ARGV[1]) == 1
if known then revise() end
if known and ARGV[2] ~= '' then
  settle(ARGV[1], 'command_failed')
  fail(ARGV[2])
end
if known and ARGV[3] == '1' and meta('wantedUntil') > now then redis.call('HINCRBY', META, 'wanted', 1) end
return known and 1 or 0
