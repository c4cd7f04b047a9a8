#!/usr/bin/env bash
# Makes the base images of docker-compose.yml, deploy/Dockerfile and the tests from what this machine has, where they
# are missing: for machines that can't pull. They hold the program, its shared libraries and a shell, nothing else.
# Needs Docker, Debian's redis-server, tini, busybox (with all its tools: busybox-static), npm, and node_modules (for its pinned Node).
set -euo pipefail
cd "$(dirname "$0")/.."

present() { docker image inspect "$1" >/dev/null 2>&1; }

# copy_program ROOT PROGRAM TARGET: the program and every library that its loader would look for, at the same paths.
copy_program() {
  local root=$1 program=$2 target=$3 library
  install -D -m 755 "$program" "$root$target"
  # A static program has none, and ldd says so with an error.
  for library in $(ldd "$program" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*' | sort -u); do
    install -D -m 755 "$(readlink -f "$library")" "$root$library"
  done
}

# base ROOT: what every image has: a shell and its tools, /tmp, users, names, the certificates that this machine trusts.
base() {
  local root=$1 tool
  mkdir -p "$root"/{tmp,etc/ssl/certs,bin,usr/bin,root,home/node,app}
  chmod 1777 "$root/tmp"
  copy_program "$root" "$(command -v busybox)" /bin/busybox
  for tool in $(busybox --list); do [ "$tool" = busybox ] || ln -s /bin/busybox "$root/bin/$tool"; done
  ln -s /bin/env "$root/usr/bin/env"
  printf 'root:x:0:0:root:/root:/bin/sh\nredis:x:999:999::/tmp:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n' > "$root/etc/passwd"
  printf 'root:x:0:\nredis:x:999:\nnode:x:1000:\n' > "$root/etc/group"
  chown 1000:1000 "$root/home/node"
  printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
}

# import_image ROOT TAG CHANGE...
import_image() {
  local root=$1 tag=$2 changes=() change
  shift 2
  for change in "$@"; do changes+=(--change "$change"); done
  tar -C "$root" -c . | docker import "${changes[@]}" - "$tag" >/dev/null
  echo "made $tag"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! present redis:7; then
  base "$work/redis"
  copy_program "$work/redis" "$(command -v redis-server)" /usr/bin/redis-server
  copy_program "$work/redis" "$(command -v redis-cli)" /usr/bin/redis-cli
  # As in the official image: a volume that is mounted here belongs to the user redis.
  install -d -o 999 -g 999 "$work/redis/data"
  import_image "$work/redis" redis:7 'USER redis' 'EXPOSE 6379' 'CMD ["redis-server", "--protected-mode", "no"]'
fi

if ! present node:24-slim; then
  base "$work/node"
  copy_program "$work/node" "$(command -v tini)" /usr/bin/tini
  copy_program "$work/node" node_modules/node/bin/node /usr/local/bin/node
  mkdir -p "$work/node/usr/local/lib/node_modules"
  cp -r "$(npm root -g)/npm" "$work/node/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/node/usr/local/bin/npm"
  # npm inside trusts what this machine trusts, not only what Node was built with.
  import_image "$work/node" node:24-slim 'ENV PATH=/usr/local/bin:/usr/bin:/bin' \
    'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' 'CMD ["node"]'
fi
