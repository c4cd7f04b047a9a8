import { setTimeout as delay } from 'node:timers/promises';
import type { StartDirectory } from '../cluster/directory.ts';
import { STATUS } from '../config/commands.ts';
import { loadCommand } from '../config/load.ts';
import { showHelp } from './show-help.ts';
import { statusText } from './status-text.ts';
import { withDirectory } from './with-directory.ts';

const WATCH_MS = 1_000;
/** What is not written to a terminal is not cut to one. */
const WIDTH_OF_A_FILE = 1_000;
const HOME_AND_CLEAR = '\x1b[H\x1b[J';

/** Prints the cluster as the directory has it: once, or again and again. */
export async function status(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(STATUS, argv);
  if (loaded === null) return showHelp(STATUS);
  const { redis, json, watch } = loaded.values;
  return withDirectory(redis, async (directory) => {
    if (!watch) {
      console.log(await (json ? asJson(directory, 2) : asText(directory)));
      return 0;
    }
    for (;;) {
      const picture = await (json ? asJson(directory) : asText(directory)).catch(() => 'Redis does not answer.');
      process.stdout.write(json ? `${picture}\n` : redraw(picture));
      await delay(WATCH_MS);
    }
  });
}

async function asJson(directory: StartDirectory, indent?: number): Promise<string> {
  const snapshot = await directory.snapshot();
  return JSON.stringify({ node: null, redis: { connected: directory.connected }, ...snapshot }, null, indent);
}

async function asText(directory: StartDirectory): Promise<string> {
  return statusText(await directory.snapshot(), (process.stdout.columns ?? WIDTH_OF_A_FILE) - 2);
}

/** Overwrites what was there; what does not fit is left away, since a terminal that scrolls can't be overwritten. */
function redraw(picture: string): string {
  if (!process.stdout.isTTY) return `${picture}\n`;
  const lines = picture.split('\n');
  const room = process.stdout.rows - 1;
  const shown = lines.length > room ? [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines`] : lines;
  return `${HOME_AND_CLEAR}${shown.join('\n')}\n`;
}
