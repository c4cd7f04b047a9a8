/** Routes that are declared in files of their own: in one, or in all *.yaml and *.yml of a directory. Each has them as a configuration file has, below `routes:`. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../errors.ts';
import { readConfigFile, readRoutes, takenTwice } from './file.ts';
import { problem } from './kinds.ts';
import type { RouteRecord } from './route-settings.ts';

/** The flag, and the key of the configuration file beside routes that are written there. */
export const ROUTES_FLAG = 'routes';
const FILES_MAX = 500;
/** The limit for all files together: a node that serves reads them in one turn of its event loop. */
const FILES_BYTES_MAX = 4 * 1_048_576;
const ROUTES_MAX = 10_000;

/** The files that `path` stands for, in the order of their names. @throws Error when it can't be read */
export function routeFilesAt(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .filter((name) => /^[^.].*\.ya?ml$/.test(name))
    .sort()
    .map((name) => join(path, name));
}

/** What to look at to see a change: the files, and the directory that they are in. */
export function watchedRouteFiles(path: string): readonly string[] {
  try {
    return [path, ...routeFilesAt(path).slice(0, FILES_MAX)];
  } catch {
    return [path];
  }
}

/** All of them together; what is wrong with any of them is added to `problems`. `path`: of --routes, or of -f. */
export async function readRouteFiles(label: string, path: string, problems: string[]): Promise<ReadonlyMap<string, RouteRecord>> {
  const routes = new Map<string, RouteRecord>();
  const before = problems.length;
  try {
    const files = checkedFiles(label, path);
    for (const file of files) await readInto(routes, label, file, problems);
  } catch (error) {
    if (error instanceof ConfigError) problems.push(...error.problems);
    else problems.push(problem(label, path, `a file or directory that can be read (${(error as NodeJS.ErrnoException).code ?? error})`));
  }
  if (routes.size > ROUTES_MAX) problems.push(problem(label, path, `at most ${ROUTES_MAX} routes; there are ${routes.size}`));
  if (problems.length === before) problems.push(...takenTwice(routes));
  return routes;
}

/** @throws ConfigError, or Error when it can't be read */
function checkedFiles(label: string, path: string): readonly string[] {
  const files = routeFilesAt(path);
  // A directory that is not mounted is empty, too: that must not delete every route.
  if (files.length === 0) throw new ConfigError([problem(label, path, 'a directory with at least one *.yaml or *.yml')]);
  if (files.length > FILES_MAX) throw new ConfigError([problem(label, path, `at most ${FILES_MAX} files; there are ${files.length}`)]);
  const stats = files.map((file) => statSync(file));
  // A pipe would never end.
  const other = files.find((_, i) => stats[i]?.isFile() !== true);
  if (other !== undefined) throw new ConfigError([problem(label, other, 'a file')]);
  const bytes = stats.reduce((sum, { size }) => sum + size, 0);
  if (bytes > FILES_BYTES_MAX) throw new ConfigError([problem(label, path, `at most ${FILES_BYTES_MAX} bytes; there are ${bytes}`)]);
  return files;
}

async function readInto(routes: Map<string, RouteRecord>, label: string, file: string, problems: string[]): Promise<void> {
  const top = await readConfigFile(file, label);
  const wrong: string[] = [];
  // A file that was only just begun has no routes yet. One that is to have none says so: "routes: {}".
  if (!Object.hasOwn(top, 'routes')) wrong.push('expected "routes:" with names of routes and their settings below it');
  for (const key of Object.keys(top)) if (key !== 'routes') wrong.push(problem(key, top[key], 'only "routes" at the top level'));
  for (const [name, record] of readRoutes(top.routes, wrong)) {
    if (routes.has(name)) wrong.push(problem('routes', name, 'each route in one file; it was in one before this'));
    else routes.set(name, record);
  }
  problems.push(...wrong.map((one) => `${file}: ${one}`));
}
