#!/bin/sh
# Deletes the app of an instance that has left, or of a start that failed: see start.sh. UNTRIED.
set -eu
url="$MARATHON_URL/v2/apps/pullproxy/$START_ID"

app=$(curl --silent --show-error --max-time 30 --write-out ' %{http_code}' "$url")
case ${app##* } in
  404) exit 0 ;;
  200) ;;
  *) exit 1 ;;
esac
# A linker says its START_ID by itself. One that is not trusted might say that of another route's instance.
case $app in
  *"\"pullproxy.route\":\"$ROUTE\""*) ;;
  *)
    echo "/pullproxy/$START_ID is no instance of $ROUTE: it is not stopped" >&2
    exit 1
    ;;
esac
# force: also while its deployment goes on, which never ends for an image that can't be pulled.
exec curl --silent --show-error --fail --max-time 30 --request DELETE "$url?force=true"
