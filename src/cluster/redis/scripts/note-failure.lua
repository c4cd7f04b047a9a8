-- An instance that was ready has failed whoever it was given.
--
-- ARGV     1 why
-- returns  nothing

fail(ARGV[1])
