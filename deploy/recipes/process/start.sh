#!/bin/sh
# One more instance as a process of this machine, beside the scaler.
#
#   pullproxy scaler --command-env PULLPROXY_ENV -- deploy/recipes/process/start.sh node server.js
#
# The linker's settings are in the file that PULLPROXY_ENV names (PULLPROXY_PROXY, PULLPROXY_SECRET, PULLPROXY_CONCURRENCY ...), one
# NAME=value a line: the scaler itself need not know the secret. Each instance writes to a log of its own in PULLPROXY_LOGS.
set -eu

# As it stands, as Docker and systemd read such a file: nothing in it is a command.
while IFS= read -r line; do
  case $line in '' | '#'*) ;; *) export "$line" ;; esac
done <"${PULLPROXY_ENV:-/etc/pullproxy/app.env}"
logs=${PULLPROXY_LOGS:-/var/log/pullproxy}
mkdir -p "$logs"

# A session of its own, so that it outlives the scaler; the startup command ends at once.
PULLPROXY_ROUTE=$ROUTE setsid pullproxy linker -- "$@" </dev/null >>"$logs/$START_ID.log" 2>&1 &
