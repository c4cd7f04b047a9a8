#!/bin/sh
# One more instance as a process of pm2 that is not started again when it has left.
#
#   pullproxy scaler --allow-route-commands --cancel-command '["deploy/recipes/pm2/stop.sh"]' -- deploy/recipes/pm2/start.sh /etc/pullproxy/app.yaml node server.js
#   pullproxy route set app.example.com 'stopCommand=["deploy/recipes/pm2/stop.sh"]'
#
# The linker's settings are in that file (proxy: [...], secret: ..., concurrency: 2; mode 600): pm2 shows arguments and environment to everybody who
# may use it. pm2 keeps an entry of what has ended: stop.sh removes it. Let the scaler run as the same user as pm2, and start pm2 before it (pm2 ping).
set -eu

config=$1
shift
logs=${PULLPROXY_LOGS:-/var/log/pullproxy}
mkdir -p "$logs"
name="pullproxy-$START_ID"

# A scaler that took over from one that died may run this a second time, under the same id.
if [ -n "$(pm2 --silent pid "$name" | tr -d '0\n')" ]; then exit 0; fi

# The route is the namespace, by which stop.sh knows whose it is. --kill-timeout: it drains when pm2 stops it, and only the linker hears of that, in
# whose hands the application is. One log for all instances of a route: pm2 removes none.
exec pm2 start "$(command -v pullproxy)" --interpreter none --name "$name" --namespace "$ROUTE" --no-autorestart --kill-timeout 45000 \
  --no-treekill --no-vizion --output "$logs/$ROUTE.log" --error "$logs/$ROUTE.log" \
  -- linker --config "$config" --route "$ROUTE" --start-id "$START_ID" -- "$@"
