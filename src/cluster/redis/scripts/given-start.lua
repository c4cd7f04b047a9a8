-- Reads, answers or forgets a start that was given to an agent.
--
-- KEYS     1 start id → `AGENT STATE`
-- ARGV     1 start id  2 the agent that answers, or ''  3 its answer; without an agent: 1 to forget the start
-- returns  the state, or '' where the start is not known

local GIVEN = KEYS[1]
local agent, state = string.match(redis.call('HGET', GIVEN, ARGV[1]) or '', '^(%S+) (%S+)$')
if not agent then return '' end
if ARGV[2] == agent then
  redis.call('HSET', GIVEN, ARGV[1], agent .. ' ' .. ARGV[3])
  return ARGV[3]
end
if ARGV[2] == '' and ARGV[3] == '1' then redis.call('HDEL', GIVEN, ARGV[1]) end
return state
