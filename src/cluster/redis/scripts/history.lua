-- Writes what a node has counted at routes within one bucket of time, in the place of what it wrote there before.
--
-- KEYS     1 the bucket
-- ARGV     node, ms for which the bucket is kept, then for each route: route, numbers as JSON
-- returns  the number of routes for which there was room

local own = ARGV[1] .. ' '
local fields = redis.call('HLEN', KEYS[1])
local done = 0
for i = 3, #ARGV, 2 do
  local before = redis.call('HGET', KEYS[1], ARGV[i])
  local lines = { own .. ARGV[i + 1] }
  -- Nothing of ours writes a longer one.
  local others = (before and #before <= historyFieldCharsMax) and before or ''
  for line in string.gmatch(others, '[^\n]+') do
    if string.sub(line, 1, #own) ~= own then lines[#lines + 1] = line end
  end
  local value = table.concat(lines, '\n')
  if (before or fields < historyFieldsMax) and #value <= historyFieldCharsMax then
    redis.call('HSET', KEYS[1], ARGV[i], value)
    if not before then fields = fields + 1 end
    done = done + 1
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return done
