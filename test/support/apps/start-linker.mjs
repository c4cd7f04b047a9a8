/**
 * A startup command: writes down that it was run, puts `node MAIN linker ...` into the background, and returns.
 *
 *   node start-linker.mjs MAIN linker --proxy ... -- APP...
 */
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';

const { COMMANDS_FILE, LINKER_SECRET, ROUTE, START_ID, DESIRED, COUNT, HELD, READY } = process.env;
const linker = spawn(process.execPath, process.argv.slice(2), {
  detached: true,
  stdio: 'ignore',
  env: { ...process.env, PULLPROXY_SECRET: LINKER_SECRET },
});
const run = { ROUTE, START_ID, DESIRED, COUNT, HELD, READY, at: Date.now(), linkerPid: linker.pid };
if (COMMANDS_FILE) appendFileSync(COMMANDS_FILE, `${JSON.stringify(run)}\n`);
linker.unref();
