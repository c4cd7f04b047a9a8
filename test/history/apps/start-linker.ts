/** A startup command: notes that it was run, puts `node WORDS...` into the background, and returns. */
import { spawn } from 'node:child_process';
import { HistoryFile } from '../recorder/history-file.ts';
import { servedName } from '../world/routes.ts';

const { HISTORY_DIR = '', ROUTE = '', KEY = '', START_ID = '' } = process.env;
const route = servedName(ROUTE, KEY);
const file = new HistoryFile(HISTORY_DIR, 'command', START_ID);
const linker = spawn(process.execPath, process.argv.slice(2), {
  detached: true,
  stdio: 'ignore',
  env: { ...process.env, HISTORY_ROUTE: route },
});
file.add({ e: 'start', startId: START_ID, route, pid: linker.pid ?? 0 });
linker.unref();
