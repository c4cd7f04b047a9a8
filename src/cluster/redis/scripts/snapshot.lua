-- One consistent snapshot of the route.
--
-- KEYS     those of the route, then agent → `NODE ROOM`, when that was said, and what it says of itself as JSON
-- ARGV     none
-- returns  { held, ms that the oldest has waited, free, starting, { start id, ms until it is given up, ms since it was begun or -1, ... }, { id, JSON, ... }, trouble, pace as in pace(), { agent, its node, its room, that JSON, ... } }

tend()
local oldest = redis.call('ZRANGE', HELD, 0, 0, 'WITHSCORES')[2]
local free = sumOf(redis.call('HVALS', FREE))
local starts = {}
local stillStarting = redis.call('ZRANGE', STARTING, 0, startsShownMax - 1, 'WITHSCORES')
for i = 1, #stillStarting, 2 do
  local begun = redis.call('ZSCORE', BEGUN, stillStarting[i])
  starts[#starts + 1] = stillStarting[i]
  starts[#starts + 1] = stillStarting[i + 1] - now
  starts[#starts + 1] = begun and math.max(0, now - begun) or -1
end
local described = {}
local stored = redis.call('HGETALL', INSTANCES)
for i = 1, #stored, 2 do
  if #stored[i + 1] <= instanceCharsMax then
    described[#described + 1] = stored[i]
    described[#described + 1] = stored[i + 1]
  end
end
local agents = {}
local said = redis.call('HGETALL', KEYS[#KEYS])
for i = 1, #said, 2 do
  local node, room, at, facts = string.match(said[i + 1], '^(%S+) (%d+) (%d+) ?(.*)$')
  if node and #said[i + 1] <= agentCharsMax and #agents < 4 * agentsMax and math.abs(now - tonumber(at)) < deadAfterMs then
    for _, word in ipairs({ said[i], node, room, facts }) do agents[#agents + 1] = word end
  end
end
return {
  redis.call('ZCARD', HELD), oldest and now - oldest or 0, free, redis.call('ZCARD', STARTING) + supply().warming,
  starts, described, trouble(), pace(), agents,
}
