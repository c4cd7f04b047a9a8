import { statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { NODE } from '../../config/commands/node.ts';
import { problem } from '../../config/kinds.ts';
import { loadCommand } from '../../config/load.ts';
import { ConfigError } from '../../errors.ts';
import type { NodeLoaded } from './open-node.ts';

/** Half of a file may be a good configuration without some routes. So nobody has written to it for this time. */
const QUIET_MS = 250;
const LOOKS_MAX = 20;

/** Reads the settings of a running node again, when nobody writes their file, `path`. @throws ConfigError */
export async function loadSettled(argv: readonly string[], path: string | undefined): Promise<NodeLoaded | null> {
  if (path === undefined) return loadCommand(NODE, argv);
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const before = stateOf(path);
    await delay(QUIET_MS);
    if (before !== stateOf(path)) continue;
    // Some editors and scripts begin with an empty file.
    if (statSync(path, { throwIfNoEntry: false })?.size === 0)
      throw new ConfigError([problem('--config', path, 'settings in it; the file is empty')]);
    return loadCommand(NODE, argv);
  }
  throw new ConfigError([problem('--config', path, 'a file that nobody writes to at the moment')]);
}

function stateOf(path: string): string | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
}
