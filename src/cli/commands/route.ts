import type { StartDirectory } from '../../cluster/directory.ts';
import { ROUTES } from '../../config/commands/route.ts';
import { problem } from '../../config/kinds.ts';
import { type Loaded, loadCommand } from '../../config/load.ts';
import { checkMatch } from '../../config/match-rules.ts';
import { ROUTE_NAME_EXPECTED, validRouteName } from '../../config/route-name.ts';
import { canonicalRouteRecord, parseRouteSettings, ROUTE_KEYS, type RouteRecord, writeRouteSettings } from '../../config/route-settings.ts';
import { ConfigError } from '../../errors.ts';
import { printable, printableLines } from '../../printable.ts';
import { showHelp } from '../help/show-help.ts';
import { pause, resume } from '../process/pause.ts';
import { restartRoute } from '../scaler/restart.ts';
import { applyRoutes, exportRoutes } from './route-files.ts';
import { withDirectory } from './with-directory.ts';

/** Names and settings may come from strangers. */
const say = {
  log: (text: string): void => console.log(printableLines(text)),
  error: (text: string): void => console.error(printableLines(text)),
};

type Action =
  | { readonly verb: 'list' }
  | { readonly verb: 'apply' }
  | { readonly verb: 'export' }
  | { readonly verb: 'get' | 'delete' | 'restart' | 'pause' | 'resume'; readonly name: string }
  | { readonly verb: 'set'; readonly name: string; readonly changes: ReadonlyMap<string, string> };

type RouteValues = Loaded<(typeof ROUTES)['settings']>['values'];

const VERBS = ['list', 'get', 'set', 'delete', 'restart', 'pause', 'resume', 'apply', 'export'] as const;

/** Shows, changes and deletes settings of routes. */
export async function route(argv: readonly string[]): Promise<number> {
  const loaded = await loadCommand(ROUTES, argv);
  if (loaded === null) return showHelp(ROUTES);
  const action = readAction(loaded.operands);
  if (loaded.values.json && action.verb !== 'list' && action.verb !== 'get')
    throw new ConfigError([`--json: expected route list or route get with it, not route ${action.verb}`]);
  if (action.verb === 'apply' && loaded.values.file === undefined)
    throw new ConfigError(['route apply: expected --file FILE (-f FILE) with it']);
  return withDirectory(loaded.values.redis, (directory) => perform(directory, action, loaded.values));
}

/** @throws ConfigError */
export function readAction([verb, written, ...rest]: readonly string[]): Action {
  const extra = verb === 'list' || verb === 'apply' || verb === 'export' ? [written, ...rest] : verb === 'set' ? [] : rest;
  if (!isVerb(verb)) {
    const verbs = VERBS.join(', ');
    throw new ConfigError([verb === undefined ? `expected one of ${verbs}` : problem('route', verb, `one of ${verbs}`)]);
  }
  if (extra[0] !== undefined) throw new ConfigError([problem(`route ${verb}`, extra[0], 'nothing more')]);
  if (verb === 'list' || verb === 'apply' || verb === 'export') return { verb };
  const name = validRouteName(written ?? '');
  if (name === null) throw new ConfigError([problem(`route ${verb}`, written ?? '', ROUTE_NAME_EXPECTED)]);
  return verb === 'set' ? { verb, name, changes: readChanges(rest) } : { verb, name };
}

function isVerb(verb: string | undefined): verb is (typeof VERBS)[number] {
  return VERBS.some((one) => one === verb);
}

function readChanges(pairs: readonly string[]): ReadonlyMap<string, string> {
  const split = pairs.map((pair) => /^([^=]+)=(.*)$/s.exec(pair) ?? pair);
  const problems = split.filter((one) => typeof one === 'string').map((one) => problem('route set', one, 'key=value'));
  if (problems.length > 0) throw new ConfigError(problems);
  return new Map(split.map((one) => [one[1] ?? '', one[2] ?? '']));
}

async function perform(directory: StartDirectory, action: Action, values: RouteValues): Promise<number> {
  if (action.verb === 'list') {
    const routes = [...(await directory.routes())].sort(([a], [b]) => (a < b ? -1 : 1));
    if (values.json) {
      say.log(JSON.stringify(Object.fromEntries(routes), null, 2));
      return 0;
    }
    if (routes.length === 0) say.error('No route has settings. Set some: "pullproxy route set NAME key=value...".');
    for (const [name, record] of routes) {
      say.log([printable(name), ...pairsOf(record)].join('  '));
    }
    return 0;
  }
  if (action.verb === 'export') {
    say.log(await exportRoutes(directory));
    return 0;
  }
  if (action.verb === 'apply') {
    const { file = '', dryRun, prune } = values;
    await applyRoutes(directory, { file, dryRun, prune }, say.log);
    return 0;
  }
  const { name } = action;
  if (action.verb === 'restart') return restart(values.redis, directory, name);
  if (action.verb === 'pause') return pause(directory, name, values);
  if (action.verb === 'resume') return resume(directory, name);
  const stored = await directory.route(name);
  if (action.verb === 'set') {
    const record = merged(stored ?? {}, action.changes);
    checkMatch(name, record, await directory.routes());
    await directory.setRoute(name, record);
    say.log([name, ...pairsOf(record)].join('  '));
    return 0;
  }
  if (stored === null) {
    say.error(`pullproxy route: ${name} has no settings`);
    say.error(`  "pullproxy route list" shows routes with settings, "pullproxy route set ${name} key=value..." sets some.`);
    return 1;
  }
  if (action.verb === 'delete') await directory.setRoute(name, null);
  else {
    const settings = writeRouteSettings(parseRouteSettings(stored));
    say.log(values.json ? JSON.stringify(settings, null, 2) : pairsOf(settings).join('\n'));
  }
  return 0;
}

async function restart(redisUrl: string, directory: StartDirectory, name: string): Promise<number> {
  const count = await restartRoute(redisUrl, directory, name);
  if (count > 0) say.log(`${name}: ${count} ${count === 1 ? 'instance is' : 'instances are'} being replaced`);
  else say.error(`pullproxy route: ${name} has no instance to replace`);
  return count > 0 ? 0 : 1;
}

/** `key=` resets a setting to its default. @throws ConfigError when the settings together would be invalid */
export function merged(stored: RouteRecord, changes: ReadonlyMap<string, string>): RouteRecord {
  const together = new Map(Object.entries(stored));
  for (const [key, value] of changes) {
    if (value === '' && Object.hasOwn(ROUTE_KEYS, key)) together.delete(key);
    else together.set(key, value);
  }
  return canonicalRouteRecord(Object.fromEntries(together));
}

function pairsOf(record: RouteRecord): string[] {
  return Object.entries(record).map(([key, value]) => printable(`${key}=${value}`));
}
