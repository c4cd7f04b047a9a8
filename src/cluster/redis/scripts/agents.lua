-- Writes which agents of a route are linked at a node, and how much room each has. Agents of which nobody has spoken for a while are removed.
--
-- KEYS     1 agent → `NODE ROOM`, when that was said, and what it says of itself as JSON
-- ARGV     1 node, then of each agent: its id, its room, that JSON or ''
-- returns  how many agents the route has

local AGENTS = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local own = {}
for i = 2, #ARGV, 3 do own[ARGV[i]] = true end
local stored = redis.call('HGETALL', AGENTS)
for i = 1, #stored, 2 do
  local node, _, said = string.match(stored[i + 1], '^(%S+) (%d+) (%d+)')
  local isAlive = node and math.abs(now - tonumber(said)) < deadAfterMs
  if not isAlive or (node == ARGV[1] and not own[stored[i]]) then redis.call('HDEL', AGENTS, stored[i]) end
end
for i = 2, #ARGV, 3 do
  if redis.call('HLEN', AGENTS) < agentsMax or redis.call('HEXISTS', AGENTS, ARGV[i]) == 1 then
    redis.call('HSET', AGENTS, ARGV[i], ARGV[1] .. ' ' .. ARGV[i + 1] .. ' ' .. now .. ' ' .. ARGV[i + 2])
  end
end
redis.call('PEXPIRE', AGENTS, keysLiveMs)
return redis.call('HLEN', AGENTS)
