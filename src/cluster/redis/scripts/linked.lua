-- Is an instance of the route linked anywhere?
--
-- ARGV     none
-- returns  1 or 0

tend()
return redis.call('EXISTS', INSTANCES)
