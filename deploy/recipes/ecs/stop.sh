#!/bin/sh
# Stops the task of a start that was given up: see start.sh. UNTRIED. ECS_CLUSTER: the cluster of task.json, if it is not the default one.
set -eu
cluster=${ECS_CLUSTER:-default}

for task in $(aws ecs list-tasks --cluster "$cluster" --started-by "pullproxy-$START_ID" --query 'taskArns' --output text); do
  [ "$task" != None ] || continue
  # A linker says its START_ID by itself. One that is not trusted might say that of another route's instance.
  group=$(aws ecs describe-tasks --cluster "$cluster" --tasks "$task" --query 'tasks[0].group' --output text)
  if [ "$group" != "$ROUTE" ]; then
    echo "$task is an instance of $group, not of $ROUTE: it is not stopped" >&2
    exit 1
  fi
  aws ecs stop-task --cluster "$cluster" --task "$task" --reason 'pullproxy gave this start up' --output text >/dev/null
done
