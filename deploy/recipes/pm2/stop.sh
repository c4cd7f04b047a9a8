#!/bin/sh
# Removes what pm2 keeps of an instance that has left, and stops what is left of a start that failed: see start.sh.
set -eu

# A linker says its START_ID by itself. One that is not trusted might say that of another route's instance: the namespace says whose it is.
number=$(pm2 jlist | node --eval '
  const { START_ID, ROUTE } = process.env;
  // The first call of pm2 greets.
  const list = require("node:fs").readFileSync(0, "utf8").trim().split("\n").at(-1);
  const mine = JSON.parse(list).find(({ name }) => name === `pullproxy-${START_ID}`);
  if (mine && mine.pm2_env.namespace !== ROUTE) {
    console.error(`${mine.name} is an instance of ${mine.pm2_env.namespace}, not of ${ROUTE}: it is not stopped`);
    process.exit(1);
  }
  console.log(mine?.pm_id ?? "");
')
# It is gone already.
[ -n "$number" ] || exit 0
exec pm2 delete "$number"
