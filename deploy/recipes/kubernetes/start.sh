#!/bin/sh
# One more instance as a Job: a Pod in which the linker runs the application, and which is over when the instance leaves.
#
#   pullproxy scaler --cancel-command '["deploy/recipes/kubernetes/stop.sh"]' \
#     -- deploy/recipes/kubernetes/start.sh deploy/recipes/kubernetes/instance.yaml
#
# in a Pod with the service account of rbac.yaml, and kubectl in its image.
set -eu

# By a program that knows YAML, so that a name stays a text: nothing in it becomes a part of the manifest, or of a command.
job=$(node "$(dirname "$0")/../../kubernetes/instance-job.mjs" "$1")
# apply and not create: a scaler that took over from one that died may run this a second time, under the same id.
printf '%s\n' "$job" | kubectl apply --filename -
