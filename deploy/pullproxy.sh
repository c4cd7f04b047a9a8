#!/bin/sh
# The image's program. What starts applications gets an init in front of it when it is the container's first process.
case "$$ $1" in
  '1 linker' | '1 dev' | '1 scaler')
    if command -v tini >/dev/null; then exec tini -s -- node /app/dist/cli/main.cjs "$@"; fi
    ;;
esac
exec node /app/dist/cli/main.cjs "$@"
