#!/bin/sh
# Deletes the Job of a start that failed, and its Pod, which may still wait for an image or for room.
#
#   pullproxy scaler --cancel-command '["deploy/recipes/kubernetes/stop.sh"]' -- deploy/recipes/kubernetes/start.sh ...
set -eu
exec kubectl delete job "pullproxy-$START_ID" --ignore-not-found --wait=false
