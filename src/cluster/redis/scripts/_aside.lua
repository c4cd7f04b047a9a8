-- A key of the wrong type stops every command that uses it. It is moved aside, where people can look at it for a while. Nodes write the
-- right one again.

-- Returns the type that was found, or nil when the key is as it should be.
local function moveAside(key, wanted)
  local found = redis.call('TYPE', key).ok
  if found == 'none' or found == wanted then return nil end
  -- In the same hash slot of a Redis Cluster.
  local aside = 'pp:aside:' .. (string.find(key, '{', 1, true) and key or '{' .. key .. '}')
  redis.call('RENAME', key, aside)
  redis.call('PEXPIRE', aside, asideLivesMs)
  return found
end

-- The same for each of KEYS; ARGV has the type that each should have. Returns { key, type that it had, key, type, ... }
local function moveAllAside()
  local moved = {}
  for i, key in ipairs(KEYS) do
    local type = moveAside(key, ARGV[i])
    if type then
      moved[#moved + 1] = key
      moved[#moved + 1] = type
    end
  end
  return moved
end
