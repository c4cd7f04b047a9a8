-- Notes wanted instances beyond the need of clients.
--
-- ARGV     1 how many
-- returns  nothing

local before = meta('wantedUntil') > now and meta('wanted') or 0
setMeta('wanted', before + ARGV[1], 'wantedUntil', now + wantedLivesMs)
