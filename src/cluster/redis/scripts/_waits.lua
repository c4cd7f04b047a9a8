-- What is known of the route's waits, in two fields of META:
--   took    'requests ms at': requests that were served of late and the ms for which they kept their slots; both halve in tookHalfMs
--   starts  'start ms ' of the last starts whose instances were ready

local function took()
  local requests, ms, at = string.match(redis.call('HGET', META, 'took') or '', '^(%d+%.?%d*) (%d+%.?%d*) (%d+)$')
  at = whole(at)
  -- The clock was set back.
  if at == 0 or at > now or #requests > 20 or #ms > 20 then return 0, 0 end
  local share = 2 ^ ((at - now) / tookHalfMs)
  return tonumber(requests) * share, tonumber(ms) * share
end

local function noteTook(requests, ms)
  if requests <= 0 then return end
  local before, msBefore = took()
  setMeta('took', string.format('%.6f %.6f %.0f', before + requests, msBefore + ms, now))
end

local function startTimes()
  local times, text = {}, redis.call('HGET', META, 'starts') or ''
  if #text > startTimesMax * 100 then return times end
  for start, ms in string.gmatch(text, '([a-z%d:]+) (%d+) ') do times[#times + 1] = { start, whole(ms) } end
  return times
end

local function noteStart(start, ms)
  local times = startTimes()
  for _, time in ipairs(times) do
    if time[1] == start then return end
  end
  times[#times + 1] = { start, ms }
  local text = ''
  for i = math.max(1, #times - startTimesMax + 1), #times do text = string.format('%s%s %.0f ', text, times[i][1], times[i][2]) end
  setMeta('starts', text)
end

-- { ms for which a request kept its slot of late, ms that a start took, slots that a new instance brings }: -1 where that is not known
local function pace()
  local requests, ms = took()
  local sorted = {}
  for _, time in ipairs(startTimes()) do sorted[#sorted + 1] = time[2] end
  table.sort(sorted)
  local slots = meta('concurrency')
  return {
    requests > 0 and string.format('%.3f', ms / requests) or -1,
    sorted[math.floor((#sorted + 1) / 2)] or -1,
    slots > 0 and slots or -1,
  }
end
