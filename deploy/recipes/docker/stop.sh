#!/bin/sh
# Removes the container of a start that failed, and, where DOCKER_ARGS has a --restart policy, that of an instance that has left, which Docker would
# start again:
#
#   pullproxy scaler --allow-route-commands --cancel-command '["deploy/recipes/docker/stop.sh"]' ... -- deploy/recipes/docker/start.sh ...
#   pullproxy route set app.example.com 'stopCommand=["deploy/recipes/docker/stop.sh"]'
#
# with --linger 1m at the linker, so that it is still there to be stopped. Without a policy start.sh uses --rm, and the cancel command alone is enough.
set -eu
docker=${DOCKER:-docker}
name="pullproxy-$START_ID"

# A linker says its START_ID by itself. One that is not trusted might say that of another route's instance.
route=$($docker container inspect --format '{{ index .Config.Labels "pullproxy.route" }}' "$name" 2>/dev/null) || {
  # It is gone already, or Docker does not answer: that is tried again.
  $docker version >/dev/null
  exit 0
}
if [ "$route" != "$ROUTE" ]; then
  echo "$name is an instance of $route, not of $ROUTE: it is not stopped" >&2
  exit 1
fi
exec $docker rm --force "$name"
