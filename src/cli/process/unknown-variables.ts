import { guard, unawaited } from '../../boundary.ts';
import { inheritedEnvironment } from '../../config/environment.ts';
import { environmentName } from '../../config/settings.ts';
import type { Log } from '../../log.ts';

const PREFIX = 'PULLPROXY_';
/** Variables that pullproxy gives its applications, and those that its scripts and images take. */
const OTHERS = ['INSTANCE', 'ENV', 'LOGS', 'MAIN'].map((name) => `${PREFIX}${name}`);
/** After the start, which should not wait for it. */
const LOOK_AFTER_MS = 1_000;
const SHOWN_MAX = 10;
const NAME_CHARS_MAX = 100;

/** A variable whose name is misspelt does nothing, and nobody would notice. */
export function warnOfUnknownVariables(log: Log): void {
  const look = guard('timer', () => unawaited('unknown', warn(log)));
  setTimeout(look, LOOK_AFTER_MS).unref();
}

async function warn(log: Log): Promise<void> {
  const given = Object.keys(inheritedEnvironment()).filter((name) => name.startsWith(PREFIX));
  if (given.length === 0) return;
  const { COMMANDS } = await import('../../config/commands/all.ts');
  const known = new Set([
    ...COMMANDS.flatMap(({ settings }) => Object.values(settings).map(({ flag }) => environmentName(flag))),
    ...OTHERS,
  ]);
  const unknown = given.filter((name) => !known.has(name)).map((name) => name.slice(0, NAME_CHARS_MAX));
  if (unknown.length === 0) return;
  log.warn({ variables: unknown.slice(0, SHOWN_MAX).join(', '), count: unknown.length }, 'environment variables belong to no setting');
}
