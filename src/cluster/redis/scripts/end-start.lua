-- A start failed: it is not waited for any longer.
--
-- ARGV     1 start id
-- returns  nothing

redis.call('ZREM', STARTING, ARGV[1])
