#!/bin/sh
# Stops the container of an instance that has left, where DOCKER_ARGS has a --restart policy (without --rm) that would start it again:
#
#   pullproxy route set app.example.com 'stopCommand=["deploy/recipes/docker/stop.sh"]'
#
# with --linger 1m at the linker, so that it is still there to be stopped, and --allow-route-commands at the scaler.
set -eu
exec docker rm --force "pullproxy-$START_ID"
