/** What the labels of one container say of its route and of the instance that it is. They are an outsider's text, of any length and content. */
import { choice, concurrency, duration, type Kind, problem, routeName, type SearchedLimit, text, whole } from '../config/kinds.ts';
import { parseRouteSettings, ROUTE_KEYS, type RouteRecord } from '../config/route-settings.ts';
import { camelCase } from '../config/settings.ts';
import { ConfigError } from '../errors.ts';

export const PREFIX = 'pullproxy.';
const LABELS_MAX = 64;
const LABEL_CHARS_MAX = 4_096;

/** Settings of the instance: those of a linker. */
export interface InstanceSettings {
  /** Absent: the only one that its image exposes. */
  readonly port?: number;
  /** The network by which it is reached; absent: any. */
  readonly network?: string;
  readonly concurrency: number | SearchedLimit;
  readonly concurrencyMax?: number;
  readonly startTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  readonly oldIdleTimeoutMs?: number;
  readonly drainTimeoutMs?: number;
  readonly stopTimeoutMs?: number;
  readonly readyPath?: string;
  readonly proxyProtocol?: 'v1' | 'v2';
}

export interface Declared {
  readonly route: string;
  /** Its settings as users write them, without `source`. */
  readonly record: RouteRecord;
  readonly instance: InstanceSettings;
}

const INSTANCE_KINDS: Readonly<Record<keyof InstanceSettings, { readonly label: string; readonly kind: Kind<never> }>> = {
  port: of('port', whole(1, 65_535)),
  network: of('network', text('NAME', 'the name of a network', /^[\w.-]{1,255}$/)),
  concurrency: of('concurrency', concurrency),
  concurrencyMax: of('concurrencyMax', whole(1, 1_000_000)),
  startTimeoutMs: of('startTimeout', duration(1)),
  idleTimeoutMs: of('idleTimeout', duration(1)),
  oldIdleTimeoutMs: of('oldIdleTimeout', duration(1)),
  drainTimeoutMs: of('drainTimeout', duration(0)),
  stopTimeoutMs: of('stopTimeout', duration(0)),
  readyPath: of('readyPath', text('PATH', 'a path such as /healthz', /^\/[\x21-\x7e]{0,1023}$/)),
  proxyProtocol: of('appProxyProtocol', choice('v1', 'v2')),
};

/** Labels of the instance that say something of the route as well. */
const OF_BOTH = new Set(['startTimeout', 'concurrency']);

/** Settings of a route that a container can't have: it is itself what is started, and it is one for all. */
const REFUSED: Readonly<Record<string, string>> = {
  command: 'none: the container itself is what is started',
  stopCommand: 'none: the container itself is what is stopped',
  startMode: 'none: each container is started by itself',
  source: 'none: it says what declared a route',
  key: 'none: give each key a container with a route of its own',
  maxKeys: 'none, since key is not for containers',
  keyPattern: 'none, since key is not for containers',
  keyCheck: 'none, since key is not for containers',
};

/**
 * @param labels all labels of a container; those without the prefix mean nothing here
 * @throws ConfigError with all problems at once, each with the label, the value and what was expected
 */
export function readLabels(labels: Readonly<Record<string, unknown>>): Declared {
  const problems: string[] = [];
  const said = ownLabels(labels, problems);
  const route = routeName.read(said.get('route') ?? '');
  if (route === null) problems.push(problem(`${PREFIX}route`, said.get('route') ?? '', routeName.expected));
  said.delete('route');
  const instance: Record<string, unknown> = {};
  for (const [field, { label, kind }] of Object.entries(INSTANCE_KINDS)) {
    const value = said.get(label);
    if (value === undefined) continue;
    const read = kind.read(value);
    if (read === null) problems.push(problem(`${PREFIX}${label}`, value, kind.expected));
    else instance[field] = read;
    if (!OF_BOTH.has(label)) said.delete(label);
  }
  // A route is told a number that is to be expected.
  if (typeof instance.concurrency !== 'number' || instance.concurrency < 1) said.delete('concurrency');
  const record = readRecord(said, problems);
  if (problems.length > 0 || route === null) throw new ConfigError(problems);
  return { route, record, instance: { concurrency: 10, ...instance } };
}

function ownLabels(labels: Readonly<Record<string, unknown>>, problems: string[]): Map<string, string> {
  const own = Object.entries(labels).filter(([name]) => name.startsWith(PREFIX));
  if (own.length > LABELS_MAX) {
    problems.push(problem(`${PREFIX}*`, own.length, `at most ${LABELS_MAX} labels`));
    return new Map();
  }
  const said = new Map<string, string>();
  for (const [name, value] of own) {
    const key = camelCase(name.slice(PREFIX.length));
    if (typeof value !== 'string' || value.length > LABEL_CHARS_MAX)
      problems.push(problem(name, value, `at most ${LABEL_CHARS_MAX} characters`));
    else if (said.has(key)) problems.push(problem(name, value, 'one spelling of the same label'));
    else said.set(key, value);
  }
  return said;
}

function readRecord(said: ReadonlyMap<string, string>, problems: string[]): RouteRecord {
  for (const [name, value] of said) {
    const refused = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
    if (refused !== undefined) problems.push(problem(`${PREFIX}${name}`, value, refused));
    else if (!Object.hasOwn(ROUTE_KEYS, name)) problems.push(problem(`${PREFIX}${name}`, value, `one of the labels ${known().join(', ')}`));
  }
  const record = Object.fromEntries([...said].filter(([name]) => Object.hasOwn(ROUTE_KEYS, name) && !Object.hasOwn(REFUSED, name)));
  try {
    parseRouteSettings(record);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems.map((one) => `${PREFIX}${one}`).filter((one) => !problems.includes(one)));
  }
  return record;
}

function known(): string[] {
  const ofRoutes = Object.keys(ROUTE_KEYS).filter((name) => !Object.hasOwn(REFUSED, name));
  return ['route', ...new Set([...Object.values(INSTANCE_KINDS).map(({ label }) => label), ...ofRoutes])];
}

function of<T>(label: string, kind: Kind<T>): { readonly label: string; readonly kind: Kind<never> } {
  return { label, kind: kind as unknown as Kind<never> };
}
