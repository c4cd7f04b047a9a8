#!/bin/sh
# Removes the service of an instance that has left, and what is left of a start that failed: see start.sh.
set -eu
name="pullproxy-$START_ID"

# A linker says its START_ID by itself. One that is not trusted might say that of another route's instance.
route=$(docker service inspect --format '{{ index .Spec.Labels "pullproxy.route" }}' "$name" 2>/dev/null) || {
  # It is gone already, or no manager answers: that is tried again.
  docker node ls >/dev/null
  exit 0
}
if [ "$route" != "$ROUTE" ]; then
  echo "$name is an instance of $route, not of $ROUTE: it is not stopped" >&2
  exit 1
fi
exec docker service rm "$name"
