-- Moves keys aside that are of the wrong type.
--
-- KEYS     the keys, all of one hash slot
-- ARGV     the type that each should have
-- returns  { key, type that it had, key, type, ... }

local moved = {}
for i, key in ipairs(KEYS) do
  local type = moveAside(key, ARGV[i])
  if type then
    moved[#moved + 1] = key
    moved[#moved + 1] = type
  end
end
return moved
