-- Gives a start to the agent of the route that has the most room. The caller rings the agent's node.
--
-- KEYS     1 agent → `NODE ROOM`, when that was said, and what it says of itself  2 start id → `AGENT STATE`
-- ARGV     1 start id, or '' to read the room alone, then agents that are not to get it
-- returns  { how many agents, their room together, agent, its node }, without the last two where none has room

local AGENTS, GIVEN = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local without = {}
for i = 2, #ARGV do without[ARGV[i]] = true end
local answer = { 0, 0 }
local most, best, home, rest = 0, nil, nil, nil
local stored = redis.call('HGETALL', AGENTS)
for i = 1, #stored, 2 do
  local node, room, said, facts = string.match(stored[i + 1], '^(%S+) (%d+) (%d+)(.*)$')
  room = tonumber(room)
  if node and room <= agentRoomMax and math.abs(now - tonumber(said)) < deadAfterMs then
    answer[1], answer[2] = answer[1] + 1, answer[2] + room
    if room > most and not without[stored[i]] then most, best, home, rest = room, stored[i], node, said .. facts end
  end
end
if ARGV[1] == '' or not best then return answer end
redis.call('HSET', AGENTS, best, home .. ' ' .. (most - 1) .. ' ' .. rest)
-- Scalers remove what they have entered. One that has died has not.
if redis.call('HLEN', GIVEN) >= givenMax then redis.call('UNLINK', GIVEN) end
redis.call('HSET', GIVEN, ARGV[1], best .. ' open')
redis.call('PEXPIRE', GIVEN, givenLivesMs)
answer[3], answer[4] = best, home
return answer
