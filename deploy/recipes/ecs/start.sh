#!/bin/sh
# One more instance as a task of Amazon ECS. UNTRIED: written by its documentation, https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
#
#   pullproxy scaler --command-env AWS_REGION --command-env AWS_CONTAINER_CREDENTIALS_RELATIVE_URI --cancel-command '["deploy/recipes/ecs/stop.sh"]' \
#     -- deploy/recipes/ecs/start.sh deploy/recipes/ecs/task.json
#
# The task definition "pullproxy-app" has one container "app" with the command "linker -- node server.js", PULLPROXY_PROXY, the secret from Secrets Manager
# as PULLPROXY_SECRET, and stopTimeout 45 (at most 120 with Fargate). ECS starts no task again by itself, so a task that has left is over. The scaler's role
# needs ecs:RunTask, ecs:ListTasks, ecs:DescribeTasks, ecs:StopTask, and iam:PassRole for the task's roles. Needs the AWS CLI.
set -eu

# Ids and names of routes need no quoting in JSON. The client token makes it one task, though this may run a second time under the same id.
task=$(sed "s/__START_ID__/$START_ID/g; s/__ROUTE__/$ROUTE/g" "$1")
# A refusal, such as no capacity, is no error of the call.
failures=$(aws ecs run-task --cli-input-json "$task" --query 'failures[].reason' --output text)
if [ -n "$failures" ]; then
  echo "$failures" >&2
  exit 1
fi
