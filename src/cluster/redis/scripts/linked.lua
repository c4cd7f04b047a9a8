-- Is an instance of the route linked anywhere?
--
-- ARGV     none, or 1 a start id: is one of this start, and not leaving? 2 is 1: and past its start?
-- returns  1 or 0

tend()
if not ARGV[1] then return redis.call('EXISTS', INSTANCES) end
for _, instance in ipairs(instances()) do
  local state = instance.info.state
  local isThere = state ~= 'draining' and not (ARGV[2] == '1' and state == 'starting')
  if instance.info.startId == ARGV[1] and isThere then return 1 end
end
return 0
