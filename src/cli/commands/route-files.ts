/** `route apply` and `route export`: routes as the files of a node's --routes have them. */
import type { StartDirectory } from '../../cluster/directory.ts';
import { takenTwice, writeRoutes } from '../../config/file.ts';
import { readRouteFiles } from '../../config/route-files.ts';
import { canonicalRouteRecord, type RouteRecord } from '../../config/route-settings.ts';
import { ConfigError } from '../../errors.ts';

type Routes = ReadonlyMap<string, RouteRecord>;

export interface RouteChange {
  readonly name: string;
  /** null: there are no such settings any more. */
  readonly settings: RouteRecord | null;
  /** What is different, for people: `maxInstances: 4 -> 8`. */
  readonly lines: readonly string[];
}

export interface ApplyOptions {
  readonly file: string;
  readonly dryRun: boolean;
  /** Deletes the routes that the file does not have. */
  readonly prune: boolean;
}

/** Makes the settings of the file's routes what the file says. All is checked before the first one is set. @throws ConfigError */
export async function applyRoutes(directory: StartDirectory, options: ApplyOptions, say: (line: string) => void): Promise<void> {
  const { file, dryRun, prune } = options;
  const problems: string[] = [];
  const wanted = await readRouteFiles('--file', file, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  const stored = await directory.routes();
  const changes = changesOf(stored, wanted, prune);
  checkTogether(stored, changes);
  for (const { name, settings, lines } of changes) {
    say(`${settings === null ? '-' : stored.has(name) ? '~' : '+'} ${name}`);
    for (const line of lines) say(`    ${line}`);
    if (!dryRun) await directory.setRoute(name, settings);
  }
  const same = wanted.size - changes.filter(({ settings }) => settings !== null).length;
  const done = `${changes.length} changed, ${same} as the file says already`;
  say(dryRun ? `Dry run, nothing is set: ${done.replace('changed', 'would be changed')}.` : `${done}.`);
}

/** In the order of the file, deletions last. */
export function changesOf(stored: Routes, wanted: Routes, prune: boolean): RouteChange[] {
  const changes: RouteChange[] = [];
  for (const [name, written] of wanted) {
    const settings = canonicalRouteRecord(written);
    const before = stored.get(name);
    const lines = differences(before ?? {}, settings);
    if (before === undefined || lines.length > 0) changes.push({ name, settings, lines });
  }
  if (prune) {
    for (const name of [...stored.keys()].sort()) if (!wanted.has(name)) changes.push({ name, settings: null, lines: [] });
  }
  return changes;
}

function differences(before: RouteRecord, after: RouteRecord): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const text = (record: RouteRecord, key: string): string => (Object.hasOwn(record, key) ? String(record[key]) : 'default');
  return keys.filter((key) => text(before, key) !== text(after, key)).map((key) => `${key}: ${text(before, key)} -> ${text(after, key)}`);
}

/** Hosts that two routes would have, as far as they had them not before. @throws ConfigError */
function checkTogether(stored: Routes, changes: readonly RouteChange[]): void {
  const together = new Map(stored);
  for (const { name, settings } of changes) {
    if (settings === null) together.delete(name);
    else together.set(name, settings);
  }
  const known = new Set(takenTwice(stored));
  const problems = takenTwice(together).filter((one) => !known.has(one));
  if (problems.length > 0) throw new ConfigError(problems);
}

/** What `route apply` and --routes read. */
export async function exportRoutes(directory: StartDirectory): Promise<string> {
  return writeRoutes([...(await directory.routes())].sort(([a], [b]) => (a < b ? -1 : 1)));
}
