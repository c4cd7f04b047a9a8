import { setTimeout as delay } from 'node:timers/promises';
import type { StartDirectory } from '../../cluster/directory.ts';
import { EVENTS } from '../../config/commands/events.ts';
import { loadCommand } from '../../config/load.ts';
import type { ClusterEvent } from '../../events/event.ts';
import { printableLines } from '../../printable.ts';
import { showHelp } from '../help/show-help.ts';
import { eventLine } from '../terminal/event-line.ts';
import { paintFor } from '../terminal/paint.ts';
import { withDirectory } from './with-directory.ts';

const LOOK_MS = 500;
const PAGE_MAX = 1_000;

/** Prints the event log of the cluster, once or as long as it is asked to. */
export async function events(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(EVENTS, argv);
  if (loaded === null) return showHelp(EVENTS);
  const { redis, follow, sinceMs, route, json } = loaded.values;
  const paint = paintFor(process.stdout);
  const print = (event: ClusterEvent): void => {
    if (route !== undefined && event.route !== route) return;
    console.log(json ? printableLines(JSON.stringify(event)) : eventLine(event, paint));
  };
  return withDirectory(redis, async (directory) => {
    let last: string | null = null;
    do {
      last = await printSince(directory, last, sinceMs, print);
      if (follow) await delay(LOOK_MS);
    } while (follow);
    return 0;
  });
}

/** Returns the id of the last one. While Redis is away and it was there before, nothing is new. */
async function printSince(
  directory: StartDirectory,
  after: string | null,
  sinceMs: number,
  print: (event: ClusterEvent) => void,
): Promise<string | null> {
  let last = after;
  for (;;) {
    const read = directory.eventLog.since(last, PAGE_MAX);
    const found = last === null ? await read : await read.catch(() => null);
    if (found === null) return last;
    for (const event of found.events) if (after !== null || event.at >= found.now - sinceMs) print(event);
    last = found.events.at(-1)?.id ?? last ?? '0-0';
    if (found.events.length < PAGE_MAX) return last;
  }
}
