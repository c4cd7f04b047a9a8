-- Marks all present instances as to be replaced by newer ones.
--
-- ARGV     none
-- returns  their number

tend()
local newest, count = -1, 0
for _, instance in ipairs(instances()) do
  if instance.info.state ~= 'draining' then
    newest = math.max(newest, instance.info.seq)
    count = count + 1
  end
end
-- Lua writes large numbers with fewer digits than they have.
if count > 0 then
  setMeta('restartSeq', string.format('%.0f', newest), 'restartUntil', now + restartLivesMs)
  revise()
end
return count
