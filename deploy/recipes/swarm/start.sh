#!/bin/sh
# One more instance as a service of Docker Swarm: one task, which is not started again when the instance has left. Needs Docker 20.10, and a
# scaler that reaches a manager (DOCKER_HOST).
#
#   pullproxy scaler --allow-route-commands --cancel-command '["deploy/recipes/swarm/stop.sh"]' \
#     --command-env SWARM_ARGS -- deploy/recipes/swarm/start.sh IMAGE node server.js
#   pullproxy route set app.example.com 'stopCommand=["deploy/recipes/swarm/stop.sh"]'
#
# A service stays when its task has ended: stop.sh removes it, also after a start that failed. The linker's settings are in the file that
# PULLPROXY_ENV names (/etc/pullproxy/app.env). SWARM_ARGS are further arguments of docker service create.
set -eu

image=$1
shift
name="pullproxy-$START_ID"

# A scaler that took over from one that died may run this a second time, under the same id.
if docker service inspect "$name" >/dev/null 2>&1; then exit 0; fi

# --stop-grace-period: it drains when somebody removes the service. --no-healthcheck: the image's own is for nodes, and Swarm would end an instance
# whose machine is too busy to answer it in time.
# shellcheck disable=SC2086
exec docker service create --quiet --detach --name "$name" --label "pullproxy.route=$ROUTE" ${KEY:+--label "pullproxy.key=$KEY"} --restart-condition none --init --no-healthcheck \
  --stop-grace-period 45s --env-file "${PULLPROXY_ENV:-/etc/pullproxy/app.env}" \
  --env "PULLPROXY_START_ID=$START_ID" --env "PULLPROXY_ROUTE=$ROUTE" ${KEY:+--env "PULLPROXY_KEY=$KEY"} \
  ${SWARM_ARGS:-} "$image" linker -- "$@"
