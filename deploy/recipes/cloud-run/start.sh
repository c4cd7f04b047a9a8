#!/bin/sh
# One more instance as an execution of a Cloud Run job. UNTRIED: written by its documentation,
# https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs/run
#
#   gcloud run jobs create pullproxy-app --region europe-west1 --image IMAGE --args=linker,--,node,server.js --max-retries=0 --task-timeout=24h \
#     --set-env-vars=PULLPROXY_PROXY=proxy.example.com:9080,PULLPROXY_CONCURRENCY=2 --set-secrets=PULLPROXY_SECRET=pullproxy-secret:latest
#   pullproxy scaler -- deploy/recipes/cloud-run/start.sh projects/PROJECT/locations/europe-west1/jobs/pullproxy-app
#
# A job, not a service: an instance takes its requests from the nodes and listens nowhere. --max-retries=0: what has failed is not started again here. An
# execution is over when its instance leaves, and one that never links ends by the linker's --start-timeout, so there is no cancel command. The scaler's
# account needs run.jobs.run and run.jobs.runWithOverrides. A start that runs a second time gives one execution more, which leaves when it is idle.
set -eu

job=$1
# Ids and names of routes need no quoting in JSON.
overrides="{\"overrides\":{\"taskCount\":1,\"containerOverrides\":[{\"env\":[
  {\"name\":\"PULLPROXY_START_ID\",\"value\":\"$START_ID\"},{\"name\":\"PULLPROXY_ROUTE\",\"value\":\"$ROUTE\"}]}]}}"
# Not as an argument, which others on this machine can see.
printf 'header = "Authorization: Bearer %s"\n' "$(gcloud auth print-access-token)" \
  | curl --silent --show-error --fail --max-time 30 --config - --header 'Content-Type: application/json' --data-binary "$overrides" \
    "${CLOUD_RUN_URL:-https://run.googleapis.com}/v2/$job:run"
