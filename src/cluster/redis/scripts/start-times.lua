-- When did a start begin?
--
-- ARGV     1 start id
-- returns  { ms since its job was taken, ms since its command was run }, or {}

local begun = redis.call('ZSCORE', BEGUN, ARGV[1])
local job = redis.call('HGET', JOBS, ARGV[1])
if not begun or not job then return {} end
return { now - job, now - begun }
