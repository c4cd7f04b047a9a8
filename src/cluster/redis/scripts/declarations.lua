-- All declarations, with versions. A value that was written or removed without a version (by hand, or with pullproxy 0.1) gets one here.
--
-- KEYS     1 about, 2 versions, then the values of each kind
-- ARGV     the kinds, in the same order
-- returns  { cluster or '', highest, { kind, name, version, value, ... }, { kind, name, version, ... } deleted, { the same } lost, now }

local values, deleted, lost = {}, {}, {}
local seen = {}
local exists = {}
local stored = redis.call('HGETALL', VERSIONS)
local entries = {}
for i = 1, #stored, 2 do entries[stored[i]] = stored[i + 1] end
local lostUpTo = versionOf(redis.call('HGET', ABOUT, 'lostUpTo')) or 0

for k, kind in ipairs(ARGV) do
  local all = redis.call('HGETALL', KEYS[k + 2])
  exists[kind] = #all > 0
  for i = 1, #all, 2 do
    local name, value = all[i], all[i + 1]
    if #name <= routeCharsMax and #value <= settingsCharsMax then
      local field = kind .. ' ' .. name
      local version, hash = parse(entries[field])
      if not version or hash ~= hashOf(value) then
        version = nextVersion()
        note(field, version, value)
      end
      seen[field] = true
      for _, part in ipairs({ kind, name, written(version), value }) do values[#values + 1] = part end
    end
  end
end

for field, entry in pairs(entries) do
  local version, hash = parse(entry)
  if version and not seen[field] then
    local kind, name = string.match(field, '^(%a+) (.+)$')
    local into = deleted
    if hash ~= '-' and kind then
      if not exists[kind] or version <= lostUpTo then
        into = lost
      else
        version = nextVersion()
        note(field, version, nil)
      end
    end
    if kind and #name <= routeCharsMax then
      for _, part in ipairs({ kind, name, written(version) }) do into[#into + 1] = part end
    end
  end
end

return { cluster or '', written(highest), values, deleted, lost, now }
