/**
 * Flags beat the environment, which beats the file, which beats the default. All problems are reported at once.
 */
import { ConfigError } from '../errors.ts';
import type { CommandSpec } from './command-spec.ts';
import { type ConfigFile, readConfigFile, readRoutes, takenTwice } from './file.ts';
import { type CommandLine, readEnvironment, readFlags } from './flags.ts';
import { problem } from './kinds.ts';
import { ROUTES_FLAG, readRouteFiles } from './route-files.ts';
import type { RouteRecord } from './route-settings.ts';
import { camelCase, environmentName, type Setting, type Settings, type Values } from './settings.ts';

export interface Loaded<S extends Settings> {
  readonly values: Values<S>;
  /** The words before the flags, as in `route get NAME`. */
  readonly operands: readonly string[];
  /** CMD ARG...: everything after `--`. */
  readonly tail: readonly string[];
  /** The routes of the configuration file and of those that --routes names, as they are written, checked. */
  readonly routes: ReadonlyMap<string, RouteRecord>;
}

const NO_ROUTES: ReadonlyMap<string, RouteRecord> = new Map();

/** A value before it is checked, and its name in messages. */
interface Given {
  readonly label: string;
  readonly values: readonly unknown[];
}

/**
 * Reads a command's settings; null when the line asks for help instead.
 * @param argv what comes after the command's name
 * @throws ConfigError with all problems
 */
export async function loadCommand<const S extends Settings>(
  spec: CommandSpec<S>,
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Loaded<S> | null> {
  const settings = Object.values(spec.settings);
  const line = readFlags(argv, settings, spec.operands);
  if (line.help) return null;
  const problems = [...line.problems, ...tailProblems(spec, line)];
  const { path, file } = spec.readsFile === false ? { path: '', file: {} } : await readFile(line, settings, environment, problems);
  const routes = spec.routes ? await declaredRoutes(line, settings, environment, file, problems) : NO_ROUTES;
  problems.push(...unknownKeys(file, path, settings, spec.routes));

  const values: Record<string, unknown> = {};
  for (const [name, one] of Object.entries(spec.settings)) {
    const given = fromFlags(line, one) ?? fromEnvironment(environment, one) ?? fromFile(file, path, one, problems);
    values[name] = given === undefined ? absent(one, problems) : read(one, given, problems);
  }
  const frozen = Object.freeze(values) as Values<S>;
  if (problems.length === 0) problems.push(...(spec.check?.(frozen, line.tail) ?? []));
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze({ values: frozen, operands: line.operands, tail: line.tail, routes });
}

/** The configuration file's `routes:`, and those of the files that `--routes` names; the file may also name those: `routes: DIR`. */
async function declaredRoutes(
  line: CommandLine,
  settings: readonly Setting<unknown>[],
  environment: NodeJS.ProcessEnv,
  file: ConfigFile,
  problems: string[],
): Promise<ReadonlyMap<string, RouteRecord>> {
  const written = readRoutes(namesRouteFiles(file) ? undefined : file.routes, problems);
  const one = settings.find(({ flag }) => flag === ROUTES_FLAG);
  const given =
    one && (fromFlags(line, one) ?? fromEnvironment(environment, one) ?? (namesRouteFiles(file) ? { values: [file.routes] } : undefined));
  const path = given?.values.at(-1);
  if (typeof path !== 'string' || path === '') return written;
  const named = await readRouteFiles(`--${ROUTES_FLAG}`, path, problems);
  for (const name of named.keys()) {
    if (written.has(name)) problems.push(`routes.${name}: expected in the configuration file or in those of --${ROUTES_FLAG}, not in both`);
  }
  const routes = new Map([...written, ...named]);
  if (problems.length === 0) problems.push(...takenTwice(routes));
  return routes;
}

const namesRouteFiles = (file: ConfigFile): boolean => typeof file.routes === 'string';

function tailProblems<S extends Settings>(spec: CommandSpec<S>, { tail }: CommandLine): string[] {
  if (spec.tail === 'none' && tail.length > 0)
    return [problem('--', tail.join(' '), 'nothing after it: this command does not run another one')];
  if (spec.tail === 'required' && tail.length === 0)
    return ['-- CMD ARG...: expected the command to run at the end of the line, such as "-- node server.js"'];
  return [];
}

async function readFile(line: CommandLine, settings: readonly Setting<unknown>[], environment: NodeJS.ProcessEnv, problems: string[]) {
  const config = settings.find(({ flag }) => flag === 'config');
  const given = config && (fromFlags(line, config) ?? fromEnvironment(environment, config));
  const path = given?.values.at(-1);
  if (typeof path !== 'string') return { path: '', file: {} };
  try {
    return { path, file: await readConfigFile(path) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
    return { path, file: {} };
  }
}

function unknownKeys(file: ConfigFile, path: string, settings: readonly Setting<unknown>[], routes: boolean): string[] {
  const known = settings.flatMap(({ flag }) => (flag === 'config' ? [] : [flag]));
  const accepted = new Set([...known, ...known.map(camelCase), ...(routes ? ['routes'] : [])]);
  return Object.keys(file)
    .filter((key) => !accepted.has(key))
    .map((key) => problem(`${path}: ${key}`, file[key], `one of the keys ${[...known, ...(routes ? ['routes'] : [])].join(', ')}`));
}

function fromFlags({ given }: CommandLine, { flag }: Setting<unknown>): Given | undefined {
  const values = given.get(flag);
  return values && { label: `--${flag}`, values };
}

function fromEnvironment(environment: NodeJS.ProcessEnv, one: Setting<unknown>): Given | undefined {
  const value = readEnvironment(environment, one);
  return value === undefined ? undefined : { label: environmentName(one.flag), values: [value] };
}

function fromFile(file: ConfigFile, path: string, { flag, form }: Setting<unknown>, problems: string[]): Given | undefined {
  if (flag === ROUTES_FLAG && !namesRouteFiles(file)) return undefined;
  const keys = [...new Set([flag, camelCase(flag)])].filter((key) => Object.hasOwn(file, key) && file[key] !== null);
  const key = keys[0];
  if (key === undefined) return undefined;
  if (keys.length > 1) problems.push(`${path}: ${keys.join(', ')}: expected one spelling of the same key`);
  const value = file[key];
  return { label: `${path}: ${key}`, values: form === 'many' && Array.isArray(value) ? value : [value] };
}

function absent(one: Setting<unknown>, problems: string[]): unknown {
  if (one.required) problems.push(`--${one.flag} is missing: expected ${one.expected}`);
  return one.defaultValue;
}

/** A setting with one value takes the last one given, so that a wrapper's line can be overridden at its end. */
function read(one: Setting<unknown>, given: Given, problems: string[]): unknown {
  if (one.form !== 'many') return readItem(one, given.label, given.values.at(-1), problems);
  const items = given.values.flatMap((value) => (typeof value === 'string' ? value.split(',').map((part) => part.trim()) : [value]));
  return Object.freeze(items.map((item) => readItem(one, given.label, item, problems)));
}

function readItem(one: Setting<unknown>, label: string, raw: unknown, problems: string[]): unknown {
  const value = one.readItem(raw);
  if (value === null) problems.push(one.secret ? `${label} (not shown): expected ${one.expected}` : problem(label, raw, one.expected));
  return value;
}
