#!/bin/sh
# One more instance as an app of Marathon with one task. UNTRIED: written by its documentation, https://mesosphere.github.io/marathon/api-console/
#
#   pullproxy scaler --allow-route-commands --command-env MARATHON_URL --cancel-command '["deploy/recipes/marathon/stop.sh"]' \
#     -- deploy/recipes/marathon/start.sh deploy/recipes/marathon/app.json
#   pullproxy route set app.example.com 'stopCommand=["deploy/recipes/marathon/stop.sh"]'
#
# Marathon starts again what ends: PULLPROXY_LINGER keeps a linker that has left until stop.sh deletes the app. Needs Marathon 1.5 (networks) and curl.
set -eu

# Ids and names of routes have letters, digits, dots, hyphens and asterisks: they need no quoting in JSON.
app=$(sed "s/__START_ID__/$START_ID/g; s/__ROUTE__/$ROUTE/g" "$1")
answer=$(printf '%s' "$app" | curl --silent --show-error --max-time 30 --write-out ' %{http_code}' \
  --header 'Content-Type: application/json' --data-binary @- "$MARATHON_URL/v2/apps")
case ${answer##* } in
  # 409: it is there. A scaler that took over from one that died may run this a second time, under the same id.
  201 | 409) ;;
  *)
    echo "$answer" >&2
    exit 1
    ;;
esac
