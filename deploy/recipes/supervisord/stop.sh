#!/bin/sh
# Stops the program of a start that was given up: see start.sh. One that has left or crashed has ended by itself.
set -eu
notes=${PULLPROXY_NOTES:-/run/pullproxy}

for note in $(grep -ls "^$START_ID " "$notes"/*.start); do
  exec 9>"$note.lock"
  flock 9
  # Meanwhile it may have left, and the program may have been started for another start.
  read -r id route program <"$note"
  [ "$id" = "$START_ID" ] || continue
  # A linker says its START_ID by itself. One that is not trusted might say that of another route's instance.
  if [ "$route" != "$ROUTE" ]; then
    echo "$program is an instance of $route, not of $ROUTE: it is not stopped" >&2
    exit 1
  fi
  supervisorctl stop "$program"
  exec rm "$note"
done
# It is gone already, or supervisord does not answer: that is tried again.
exec supervisorctl pid
