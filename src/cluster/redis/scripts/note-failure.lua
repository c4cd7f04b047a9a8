-- An instance that was ready has failed every request.
--
-- ARGV     1 why  2 the instance, or '' when none is named: one instance fails once
-- returns  nothing

local json = redis.call('HGET', INSTANCES, ARGV[2])
if not json then return fail(ARGV[1]) end
local instance = cjson.decode(json)
failOnce(instance, ARGV[1])
redis.call('HSET', INSTANCES, instance.id, cjson.encode(instance))
