-- May an instance leave? If enough ready ones remain it is draining from now on. One script, so that two can't both leave
-- below the minimum.
--
-- ARGV     1 node  2 instance  3 ready instances that must remain
-- returns  1 or 0

tend()
local json = redis.call('HGET', INSTANCES, ARGV[2])
local instance = decode(json)
if not instance or instance.node ~= ARGV[1] then return 0 end
-- The answer to the first time it asked may have been lost.
if instance.state == 'draining' then return 1 end

local sum = supply()
count(sum, instance, -1)
if sum.ready < tonumber(ARGV[3]) then return 0 end
local draining = string.gsub(json, '"state":"%a+"', '"state":"draining"', 1)
redis.call('HSET', INSTANCES, ARGV[2], draining)
keepSupply(sum)
revise()
ended(instance)
return 1
