#!/bin/sh
# Says how much the application takes: take.sh 8, take.sh 0 (nothing now), take.sh auto (find it). To be run by the application, which has
# PULLPROXY_CONTROL in its environment.
set -eu
exec curl --silent --show-error --fail --unix-socket "$PULLPROXY_CONTROL" --request PUT --data "$1" http://control/concurrency
