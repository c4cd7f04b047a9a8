import { readFileSync } from 'node:fs';
import { ConfigError } from '../errors.ts';
import { problem } from './kinds.ts';
import { rulesOf, takenProblem } from './match-rules.ts';
import { ROUTE_NAME_EXPECTED, validRouteName } from './route-name.ts';
import { parseRouteSettings, type RouteRecord } from './route-settings.ts';

/** The top level of a configuration file, not checked yet. */
export type ConfigFile = Readonly<Record<string, unknown>>;

/** @param label the flag that names it @throws ConfigError when the file can't be read or is no YAML mapping. */
export async function readConfigFile(path: string, label = '--config'): Promise<ConfigFile> {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError([problem(label, path, `a file that can be read (${(error as NodeJS.ErrnoException).code ?? error})`)]);
  }
  // Imported only here: most processes have no file, and a linker has to start fast.
  const { parseDocument } = await import('yaml');
  const document = parseDocument(content, { logLevel: 'error' });
  if (document.errors.length > 0) {
    throw new ConfigError(document.errors.map((error) => problem(label, path, `YAML (${error.message.split('\n', 1)[0]})`)));
  }
  let top: unknown;
  try {
    top = document.toJS();
  } catch (error) {
    // An alias without a target, or aliases that expand a small file into a large one.
    throw new ConfigError([problem(label, path, `YAML (${(error as Error).message.split('\n', 1)[0]})`)]);
  }
  if (top === null || top === undefined) return {};
  if (!isMapping(top)) throw new ConfigError([problem(label, path, 'keys and values at the top level, such as "log-level: debug"')]);
  return top;
}

/** The file's `routes:` by canonical name, each checked; problems are added to `problems`. */
export function readRoutes(routes: unknown, problems: string[]): ReadonlyMap<string, RouteRecord> {
  const result = new Map<string, RouteRecord>();
  if (routes === undefined || routes === null) return result;
  if (!isMapping(routes)) {
    problems.push(problem('routes', routes, 'route names with their settings below them'));
    return result;
  }
  for (const [written, settings] of Object.entries(routes)) {
    const name = validRouteName(written);
    const record = settings ?? {};
    if (name === null) problems.push(problem('routes', written, ROUTE_NAME_EXPECTED));
    else if (result.has(name)) problems.push(problem('routes', written, `each route once; ${name} was there already`));
    else if (!isMapping(record)) problems.push(problem(`routes.${written}`, settings, 'settings such as "maxInstances: 3" below it'));
    else {
      result.set(name, Object.freeze(record));
      problems.push(...routeProblems(written, record));
    }
  }
  problems.push(...takenTwice(result));
  return result;
}

/** A file with these routes, as `readRoutes` reads it. */
export async function writeRoutes(routes: Iterable<readonly [string, RouteRecord]>): Promise<string> {
  const { stringify } = await import('yaml');
  return stringify({ routes: Object.fromEntries(routes) }, { lineWidth: 0 }).trimEnd();
}

/** Hosts and prefixes that two of the routes have. */
export function takenTwice(routes: ReadonlyMap<string, RouteRecord>): string[] {
  const owners = new Map<string, string>();
  const problems: string[] = [];
  for (const [name, { match }] of routes) {
    for (const rule of rulesOf(name, match)) {
      const owner = owners.get(rule);
      if (owner === undefined) owners.set(rule, name);
      else problems.push(takenProblem(`routes.${name}.match`, rule, owner));
    }
  }
  return problems;
}

function routeProblems(name: string, record: RouteRecord): string[] {
  try {
    parseRouteSettings(record);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((one) => `routes.${name}.${one}`);
    throw error;
  }
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
