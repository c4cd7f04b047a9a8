#!/bin/sh
# One more instance: starts a program of a group of supervisord that does not run. See pullproxy.conf.
#
#   pullproxy scaler --cancel-command '["deploy/recipes/supervisord/stop.sh"]' -- deploy/recipes/supervisord/start.sh app
#
# supervisorctl passes nothing on to a program. So the start's id lies in a file for it, where stop.sh finds it again. Needs flock (util-linux).
set -eu

group=$1
notes=${PULLPROXY_NOTES:-/run/pullproxy}
mkdir -p "$notes"

# 3: some do not run.
all=$(supervisorctl status "$group:*") || [ $? = 3 ] || { echo "$all" >&2; exit 1; }

programs=$(echo "$all" | while read -r program state _; do echo "$program=$state"; done)

for program in $programs; do
  [ "${program#*=}" = RUNNING ] || continue
  program=${program%=*}
  # A scaler that took over from one that died may run this a second time, under the same id.
  if grep -qsxF "$START_ID $ROUTE $program" "$notes/${program#*:}.start"; then exit 0; fi
done

for program in $programs; do
  case ${program#*=} in STOPPED | EXITED | FATAL) ;; *) continue ;; esac
  program=${program%=*}
  note=$notes/${program#*:}.start
  # Another start may be about to take it, and stop.sh to stop it.
  exec 9>"$note.lock"
  flock --nonblock 9 || continue
  case $(supervisorctl status "$program") in *' STOPPED '* | *' EXITED '* | *' FATAL '*) ;; *) continue ;; esac
  echo "$START_ID $ROUTE $program" >"$note"
  exec supervisorctl start "$program"
done
echo "each program of $group runs already: raise its numprocs, or lower maxInstances of $ROUTE" >&2
exit 1
