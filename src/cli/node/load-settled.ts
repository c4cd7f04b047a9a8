import { statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { NODE } from '../../config/commands/node.ts';
import { problem } from '../../config/kinds.ts';
import { loadCommand } from '../../config/load.ts';
import { ROUTES_FLAG, watchedRouteFiles } from '../../config/route-files.ts';
import { ConfigError } from '../../errors.ts';
import { fingerprintOf } from '../files/follow-files.ts';
import type { NodeLoaded } from './open-node.ts';

/** The files, as the settings that count name them. */
type Named = Pick<NodeLoaded['values'], 'config' | 'routesFrom'>;

/** Half of a file may be a good configuration without some routes. So nobody has written to it for this time. */
const QUIET_MS = 250;
const LOOKS_MAX = 20;

/** Reads the settings of a running node again, when nobody writes their files. @throws ConfigError */
export async function loadSettled(argv: readonly string[], { config, routesFrom }: Named): Promise<NodeLoaded | null> {
  if (config === undefined && routesFrom === undefined) return loadCommand(NODE, argv);
  const path = `${config ?? routesFrom}`;
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const before = stateOf(config, routesFrom);
    await delay(QUIET_MS);
    if (before !== stateOf(config, routesFrom)) continue;
    // Some editors and scripts begin with an empty file.
    if (config !== undefined && statSync(config, { throwIfNoEntry: false })?.size === 0)
      throw new ConfigError([problem('--config', config, 'settings in it; the file is empty')]);
    return loadCommand(NODE, argv);
  }
  throw new ConfigError([
    problem(config === undefined ? `--${ROUTES_FLAG}` : '--config', path, 'a file that nobody writes to at the moment'),
  ]);
}

function stateOf(config: string | undefined, routesFrom: string | undefined): string {
  const files = [...(config === undefined ? [] : [config]), ...(routesFrom === undefined ? [] : watchedRouteFiles(routesFrom))];
  return files.map(fingerprintOf).join('\n');
}
