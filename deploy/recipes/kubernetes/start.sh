#!/bin/sh
# One more instance as a Job: a Pod in which the linker runs the application, and which is over when the instance leaves.
#
#   pullproxy scaler -- deploy/recipes/kubernetes/start.sh deploy/recipes/kubernetes/instance.yaml
#
# in a Pod with the service account of rbac.yaml, and kubectl in its image. START_ID fits into a Job's name, and a route into an annotation.
set -eu

# Neither holds more than letters, digits, dots, hyphens, underscores and a star: nothing that YAML or sed takes for its own.
sed -e "s/__START_ID__/$START_ID/g" -e "s/__ROUTE__/$ROUTE/g" "$1" |
  # apply and not create: a scaler that took over from one that died may run this a second time, under the same id.
  kubectl apply --filename -
