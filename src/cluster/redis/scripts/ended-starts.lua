-- How starts have ended since this was asked last: each is taken by one scaler.
--
-- ARGV     none to read them, or the fields to take
-- returns  { field, how it ended, ... } of those that are due, or of those that were taken

tend()
local found = {}
if #ARGV > 0 then
  for _, field in ipairs(ARGV) do
    local entry = redis.call('HGET', ENDED, field)
    if entry and redis.call('HDEL', ENDED, field) == 1 then
      found[#found + 1] = field
      found[#found + 1] = string.match(entry, '^%d+ (.*)$') or ''
    end
  end
  return found
end
local stored = redis.call('HGETALL', ENDED)
for i = 1, #stored, 2 do
  local due, how = string.match(stored[i + 1], '^(%d+) ([%a_]+)$')
  due = tonumber(due)
  if not due then
    redis.call('HDEL', ENDED, stored[i])
  -- Redis's clock may have been set back.
  elseif (due <= now or due > now + lostAfterMs) and #found < 2 * endedTakenMax then
    found[#found + 1] = stored[i]
    found[#found + 1] = how
  end
end
return found
