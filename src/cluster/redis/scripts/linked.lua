-- Is an instance of the route linked anywhere?
--
-- ARGV     none, or 1 a start id: is one of this start?
-- returns  1 or 0

tend()
if not ARGV[1] then return redis.call('EXISTS', INSTANCES) end
for _, instance in ipairs(instances()) do
  if instance.info.startId == ARGV[1] and instance.info.state ~= 'draining' then return 1 end
end
return 0
