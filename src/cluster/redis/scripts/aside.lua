-- Moves keys aside that are of the wrong type.
--
-- KEYS     the keys, all of one hash slot
-- ARGV     the type that each should have
-- returns  { key, type that it had, key, type, ... }

return moveAllAside()
