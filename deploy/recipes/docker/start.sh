#!/bin/sh
# One more instance as a container: an image with pullproxy and the application in it, such as one that begins with
# pullproxy's own image.
#
#   pullproxy scaler --command-env DOCKER_ARGS --cancel-command '["deploy/recipes/docker/stop.sh"]' \
#     -- deploy/recipes/docker/start.sh IMAGE node server.js
#
# The linker's settings are in /etc/pullproxy/app.env, or in the file that PULLPROXY_ENV names: one NAME=value a line
# (PULLPROXY_PROXY, PULLPROXY_SECRET, PULLPROXY_CONCURRENCY ...). DOCKER_ARGS are further arguments of docker run.
#
# With Podman: DOCKER=podman and --command-env DOCKER at the scaler. Its --init needs catatonit. Where the scaler is a unit of systemd, give it KillMode=process.
set -eu

docker=${DOCKER:-docker}
image=$1
shift
name="pullproxy-$START_ID"

# A scaler that took over from one that died may run this a second time, under the same id.
if $docker container inspect "$name" >/dev/null 2>&1; then exit 0; fi

# --rm: an instance that has left leaves nothing behind. Docker takes no --restart policy beside it: then stop.sh removes the container, as the
# route's stopCommand and as the scaler's cancel command.
remove=--rm
case " ${DOCKER_ARGS:-}" in *' --restart'*) remove= ;; esac
# --stop-timeout: docker stop lets it drain. --no-healthcheck: the image's own is for nodes, and starts a process every 10 s.
# shellcheck disable=SC2086
exec $docker run --detach $remove --init --no-healthcheck --name "$name" --label "pullproxy.route=$ROUTE" --label pullproxy.startedBy=command ${KEY:+--label "pullproxy.key=$KEY"} --stop-timeout 45 \
  --env-file "${PULLPROXY_ENV:-/etc/pullproxy/app.env}" --env "PULLPROXY_START_ID=$START_ID" --env "PULLPROXY_ROUTE=$ROUTE" ${KEY:+--env "PULLPROXY_KEY=$KEY"} \
  ${DOCKER_ARGS:-} "$image" linker -- "$@"
