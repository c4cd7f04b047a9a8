#!/bin/sh
# One more instance as a transient unit, where no unit file is wanted:
#
#   pullproxy scaler -- deploy/recipes/systemd/run.sh node server.js
#
# Only where the scaler is root: who may make transient units may run any program as root, and polkit can't tell one from another.
#
# The linker's settings are in /etc/pullproxy/app.env, or in the file that PULLPROXY_ENV names.
set -eu

unit="pullproxy-$START_ID"
# A scaler that took over from one that died may run this a second time, under the same id.
if systemctl --quiet is-active "$unit"; then exit 0; fi

exec systemd-run --unit="$unit" --description="pullproxy instance of $ROUTE${KEY:+, key $KEY}" --collect --quiet \
  --property=EnvironmentFile="${PULLPROXY_ENV:-/etc/pullproxy/app.env}" --property=KillMode=mixed --property=TimeoutStopSec=45 \
  --setenv=PULLPROXY_START_ID="$START_ID" --setenv=PULLPROXY_ROUTE="$ROUTE" ${KEY:+--setenv=PULLPROXY_KEY="$KEY"} \
  --working-directory="$PWD" \
  /usr/bin/env pullproxy linker -- "$@"
