#!/bin/sh
# Announces the address of bird.conf while the node is ready: asks /readyz twice a second.
#
#   announce.sh [URL]
set -u

url=${1:-http://127.0.0.1:9090/readyz}
said=

say() {
  [ "$said" = "$1" ] || { birdc "$1" clients >/dev/null && said=$1 && echo "$1"; }
}

trap 'said=; say disable; exit 0' TERM INT
while :; do
  curl --silent --fail --max-time 1 --output /dev/null "$url"
  case $? in
    0) say enable ;;
    # 503: it leaves, and serves on meanwhile. Connections that are kept open are told to end within the first second.
    22) [ "$said" = disable ] || { sleep 1 && say disable; } ;;
    *) say disable ;;
  esac
  # In the background, so that a signal is heard at once.
  sleep 0.5 &
  wait $!
done
