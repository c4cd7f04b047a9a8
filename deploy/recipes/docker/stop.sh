#!/bin/sh
# Removes the container of an instance that has left, where DOCKER_ARGS has a --restart policy that would start it again. Choose
# --restart=on-failure:3, so that an application that crashes at its start is not started for ever; always and unless-stopped would.
#
#   pullproxy route set app.example.com 'stopCommand=["deploy/recipes/docker/stop.sh"]'
#
# with --linger 1m at the linker, so that it is still there to be stopped, and --allow-route-commands at the scaler.
set -eu
name="pullproxy-$START_ID"

# A linker says its START_ID by itself. One that is not trusted might say that of another route's instance.
route=$(docker container inspect --format '{{ index .Config.Labels "pullproxy.route" }}' "$name") || exit 0
if [ "$route" != "$ROUTE" ]; then
  echo "$name is an instance of $route, not of $ROUTE: it is not stopped" >&2
  exit 1
fi
exec docker rm --force "$name"
