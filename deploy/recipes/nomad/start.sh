#!/bin/sh
# One more instance as a dispatched job of app.nomad.hcl, which is registered once (nomad job run app.nomad.hcl).
#
#   pullproxy scaler --command-env NOMAD_ADDR --command-env NOMAD_TOKEN -- deploy/recipes/nomad/start.sh pullproxy-app
#
# NOMAD_TOKEN needs the capability dispatch-job. The id makes it one job, though a scaler that took over from one that died
# may run this a second time.
set -eu
exec nomad job dispatch -detach -idempotency-token "$START_ID" -meta "start_id=$START_ID" -meta "route=$ROUTE" \
  ${KEY:+-meta "key=$KEY"} ${KEY:+-meta "slug=$SLUG"} "$1"
