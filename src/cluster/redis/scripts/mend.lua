-- A script of the route has failed because of a stored value. Keys of the wrong type are moved aside, entries that can't be ours are removed.
--
-- ARGV     the type that each of the keys should have
-- returns  { { key, type that it had, ... }, removed entries as in audit() }

local moved = {}
for i, key in ipairs(KEYS) do
  local type = moveAside(key, ARGV[i])
  if type then
    moved[#moved + 1] = key
    moved[#moved + 1] = type
  end
end
tend()
audit(true)
return { moved, audited }
