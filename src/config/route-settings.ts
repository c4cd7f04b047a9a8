import { ConfigError } from '../errors.ts';
import { argumentVector, choice, duration, type Kind, problem, whole } from './kinds.ts';

/** The settings of one route; durations in milliseconds. As users write them: `holdTimeout: 30s`, see the README's reference. */
export interface RouteSettings {
  readonly holdTimeoutMs: number;
  /** Held clients of the route in the whole cluster. */
  readonly maxHeld: number;
  readonly minInstances: number;
  readonly maxInstances: number;
  /** A start that has not linked by then is given up. */
  readonly startTimeoutMs: number;
  /** Run the startup command once per missing instance, or once with the total. */
  readonly startMode: 'each' | 'total';
  /** From one start to the next; 0: all that are missing at once. */
  readonly startIntervalMs: number;
  /** Absent: as many as are missing. */
  readonly maxStartsPerMinute?: number;
  /** The route's own startup command, for scalers that allow it. */
  readonly command?: readonly string[];
  /** Run when an instance has left, for schedulers that would start it again. */
  readonly stopCommand?: readonly string[];
  /** A browser that has waited for so long is shown a page meanwhile; absent: it waits as everybody does. */
  readonly waitingPageAfterMs?: number;
  readonly balance: 'newest' | 'spread';
  readonly protocol: 'http1' | 'h2c' | 'tcp';
  /** What an instance is expected to serve at once, before the first one has said it. Without it the first start is a single one. */
  readonly concurrency?: number;
}

/** Route settings the way users write them: `{ holdTimeout: '30s', maxInstances: 3 }`. */
export type RouteRecord = Readonly<Record<string, unknown>>;

export const DEFAULT_ROUTE_SETTINGS: RouteSettings = Object.freeze({
  holdTimeoutMs: 30_000,
  maxHeld: 10_000,
  minInstances: 0,
  maxInstances: 10,
  startTimeoutMs: 60_000,
  startMode: 'each',
  startIntervalMs: 0,
  balance: 'newest',
  protocol: 'http1',
});

type RouteValue = string | number | readonly string[];

interface RouteKey {
  readonly field: keyof RouteSettings;
  readonly kind: Kind<RouteValue>;
  readonly help: string;
}

/** Every key that a user may write. */
export const ROUTE_KEYS: Readonly<Record<string, RouteKey>> = {
  holdTimeout: key('holdTimeoutMs', duration(1), 'how long a client waits for a free instance before it gets a 503'),
  maxHeld: key('maxHeld', whole(0, 10_000_000), 'how many clients may wait at once, in the whole cluster'),
  minInstances: key('minInstances', whole(0, 10_000), 'instances that are kept running without traffic'),
  maxInstances: key('maxInstances', whole(0, 10_000), 'instances that are never exceeded'),
  startTimeout: key('startTimeoutMs', duration(1), 'how long a started instance may take until it is linked'),
  startMode: key('startMode', choice('each', 'total'), 'run the startup command once per missing instance, or once with the total'),
  startInterval: key('startIntervalMs', duration(0), 'how long to wait between two starts; 0s begins all that are missing at once'),
  maxStartsPerMinute: key(
    'maxStartsPerMinute',
    whole(1, 100_000),
    'starts that are never exceeded within a minute; without it there is no such limit',
  ),
  command: key('command', argumentVector, "the route's own startup command, run by scalers with --allow-route-commands instead of theirs"),
  stopCommand: key(
    'stopCommand',
    argumentVector,
    'run when an instance has left, where a scheduler would start it again; by scalers with --allow-route-commands',
  ),
  waitingPageAfter: key(
    'waitingPageAfterMs',
    duration(0),
    'a browser that has waited for so long is shown a page that asks again by itself; without it everybody waits for the answer',
  ),
  balance: key('balance', choice('newest', 'spread'), 'fill the newest instance first, or spread the load over all'),
  protocol: key('protocol', choice('http1', 'h2c', 'tcp'), 'what the application speaks'),
  concurrency: key(
    'concurrency',
    whole(1, 1_000_000),
    'requests that an instance is expected to take at once, before the first one has said it',
  ),
};

/**
 * Reads settings as users write them; what is missing comes from `defaults`.
 * @throws ConfigError with all problems at once; each names the key, the value and what was expected.
 */
export function parseRouteSettings(record: RouteRecord, defaults: RouteSettings = DEFAULT_ROUTE_SETTINGS): RouteSettings {
  const problems: string[] = [];
  const given: Record<string, RouteValue> = {};
  for (const [name, value] of Object.entries(record)) {
    const known = Object.hasOwn(ROUTE_KEYS, name) ? ROUTE_KEYS[name] : undefined;
    if (known === undefined) {
      problems.push(problem(name, value, `one of the keys ${Object.keys(ROUTE_KEYS).join(', ')}`));
      continue;
    }
    const read = known.kind.read(value);
    if (read === null) problems.push(problem(name, value, known.kind.expected));
    else given[known.field] = read;
  }
  const settings: RouteSettings = Object.freeze({ ...defaults, ...given });
  if (problems.length === 0 && settings.minInstances > settings.maxInstances) {
    problems.push(problem('minInstances', settings.minInstances, `at most maxInstances, which is ${settings.maxInstances}`));
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return settings;
}

/** The inverse: all keys as a user would write them. */
export function writeRouteSettings(settings: RouteSettings): Record<string, string | number | boolean> {
  const record: Record<string, string | number | boolean> = {};
  for (const [name, { field, kind }] of Object.entries(ROUTE_KEYS)) {
    const value = settings[field];
    if (value !== undefined) record[name] = kind.write(value);
  }
  return record;
}

/**
 * The same keys as in `record` and no others, checked and in their canonical form: what is stored, so that a default
 * that changes later still reaches routes that never said otherwise.
 * @throws ConfigError as `parseRouteSettings` does.
 */
export function canonicalRouteRecord(record: RouteRecord): Record<string, string | number | boolean> {
  const written = writeRouteSettings(parseRouteSettings(record));
  return Object.fromEntries(Object.entries(written).filter(([name]) => Object.hasOwn(record, name)));
}

function key<T extends RouteValue>(field: keyof RouteSettings, kind: Kind<T>, help: string): RouteKey {
  return {
    field,
    // `write` is only ever given what `read` made.
    kind: { ...kind, write: (value) => kind.write(value as T) },
    help,
  };
}
