-- A script of the route has failed because of a stored value. Keys of the wrong type are moved aside, entries that can't be ours are removed.
--
-- ARGV     the type that each of the keys should have
-- returns  { { key, type that it had, ... }, removed entries as in audit() }

local moved = moveAllAside()
tend()
audit(true)
revise()
return { moved, audited }
