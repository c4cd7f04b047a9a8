import { ConfigError } from '../errors.ts';
import { costRules } from './cost-rules.ts';
import { deadlineHeader } from './deadline-header.ts';
import { type KeySource, keyCheck, keyPatterns, keySource } from './key-source.ts';
import { argumentVector, choice, duration, type Kind, problem, responseStatus, text, whole, yesNo } from './kinds.ts';
import { matchRules } from './match-rules.ts';
import {
  type AffinitySource,
  affinitySource,
  costSource,
  fairSource,
  type QueueSource,
  shareWeights,
  urgencySource,
  type Weights,
} from './queue-sources.ts';
import { sleepRules } from './sleep-rules.ts';

/** The settings of one route; durations in milliseconds. As users write them: `holdTimeout: 30s`, see deploy/reference.md. */
export interface RouteSettings {
  /** Hosts, and hosts with the beginning of a path, that belong to the route: see match-rules.ts. Absent: the host that it is named after. */
  readonly match?: readonly string[];
  /** The application is asked for the path without the prefix that matched. */
  readonly stripPrefix: boolean;
  readonly holdTimeoutMs: number;
  /** For clients that came while no instance was ready; absent: as the others. */
  readonly coldHoldTimeoutMs?: number;
  /** The header in which clients say how long they wait, in lower case; absent: only `grpc-timeout` counts. */
  readonly deadline?: string;
  /** Held clients of the route in the whole cluster. */
  readonly maxHeld: number;
  readonly minInstances: number;
  readonly maxInstances: number;
  /** A start that has not linked by then counts as failed. */
  readonly startTimeoutMs: number;
  /** Run the startup command once per missing instance, or once with the total. */
  readonly startMode: 'each' | 'total';
  /** From one start to the next; 0: all missing instances at once. */
  readonly startIntervalMs: number;
  /** Absent: no limit. */
  readonly maxStartsPerMinute?: number;
  /** The route's own startup command, for scalers that allow it. */
  readonly command?: readonly string[];
  /** Run when an instance has left, for schedulers that would start it again. */
  readonly stopCommand?: readonly string[];
  /** A browser that has waited for this time is shown a page; absent: it waits like every other client. */
  readonly waitingPageAfterMs?: number;
  readonly balance: 'newest' | 'spread';
  readonly protocol: 'http1' | 'h2c' | 'tcp';
  /** How often a held client hears that it is still held, by an interim response; absent: never. */
  readonly holdSignalMs?: number;
  /** The same by comments, for clients that want an event stream; absent: never. */
  readonly holdCommentsMs?: number;
  /** Requests that start no instance and keep none awake: see sleep-rules.ts. Absent: none. */
  readonly sleepThrough?: readonly string[];
  /** The response to these while no instance is there. */
  readonly sleepStatus: number;
  /** The expected concurrency of an instance, until the first one has linked. Without it the first start is a single instance. */
  readonly concurrency?: number;
  /** `adaptive`: in an overload those who would leave before they are served are refused. */
  readonly queueOrder: 'adaptive' | 'fifo';
  /** Held clients with the same value of this share; absent: none are told apart. */
  readonly fairBy?: QueueSource;
  /** By value; values that are not named have 1. */
  readonly fairWeights?: Weights;
  /** The source of a request's urgency; absent: all are alike. */
  readonly priority?: QueueSource;
  /** After this time a client counts as most urgent; 0: never. */
  readonly priorityWaitMs: number;
  /** What says how many slots a request takes; absent: nothing. */
  readonly cost?: QueueSource;
  /** How many slots requests take that do not say it, see cost-rules.ts; absent: one. */
  readonly costBy?: readonly string[];
  /** `fairBy`, `priority` and `cost` take every client's word, not only that of trusted proxies. */
  readonly trustClients: boolean;
  /** What tells clients apart who are to have the instance again that served them before; absent: each slot is as good. */
  readonly affinity?: AffinitySource;
  /** How long a client waits for that instance, before it takes any. */
  readonly affinityWaitMs: number;
  /** Each value of it has its own instances and its own queue; absent: all requests have the same. */
  readonly key?: KeySource;
  /** Keys that are awake at once, in the whole cluster. */
  readonly maxKeys: number;
  /** Absent: every text that can be a key is one. */
  readonly keyPattern?: readonly string[];
  /** Says whether a key exists, before anything is started for it. */
  readonly keyCheck?: readonly string[];
  /** What has declared the route and starts its instances; absent: an operator, and whoever takes startup jobs. */
  readonly source?: string;
}

/** A client that waits for one instance is not yet a reason to start another one. */
const AFFINITY_WAIT_MS_MAX = 60_000;

/** Route settings the way users write them: `{ holdTimeout: '30s', maxInstances: 3 }`. */
export type RouteRecord = Readonly<Record<string, unknown>>;

export const DEFAULT_ROUTE_SETTINGS: RouteSettings = Object.freeze({
  stripPrefix: false,
  holdTimeoutMs: 30_000,
  maxHeld: 10_000,
  minInstances: 0,
  maxInstances: 10,
  startTimeoutMs: 60_000,
  startMode: 'each',
  startIntervalMs: 0,
  balance: 'newest',
  protocol: 'http1',
  sleepStatus: 503,
  queueOrder: 'adaptive',
  priorityWaitMs: 30_000,
  trustClients: false,
  affinityWaitMs: 100,
  maxKeys: 100,
});

type RouteValue = string | number | boolean | readonly string[] | QueueSource | Weights | KeySource | AffinitySource;

interface RouteKey {
  readonly field: keyof RouteSettings;
  readonly kind: Kind<RouteValue>;
  readonly help: string;
}

/** Every key that a user may write. */
export const ROUTE_KEYS: Readonly<Record<string, RouteKey>> = {
  holdTimeout: key('holdTimeoutMs', duration(1), 'how long a client waits for a free instance before it gets a 503'),
  coldHoldTimeout: key(
    'coldHoldTimeoutMs',
    duration(1),
    'the same for a client that came while no instance was ready, and waits for a start; without it holdTimeout',
  ),
  deadline: key(
    'deadline',
    deadlineHeader,
    'the header in which a client says how long it waits: a number of ms, or with a unit (250ms, 1.5s, 2m); grpc-timeout always counts',
  ),
  maxHeld: key('maxHeld', whole(0, 10_000_000), 'how many clients may wait at once, in the whole cluster'),
  minInstances: key('minInstances', whole(0, 10_000), 'instances that are kept running without traffic'),
  maxInstances: key('maxInstances', whole(0, 10_000), 'the most instances at any time'),
  startTimeout: key(
    'startTimeoutMs',
    duration(1),
    'how long a started instance may take until it has linked; then the start counts as failed',
  ),
  startMode: key('startMode', choice('each', 'total'), 'run the startup command once per missing instance, or once with the total'),
  startInterval: key('startIntervalMs', duration(0), 'how long to wait between two starts; 0s starts all missing instances at once'),
  maxStartsPerMinute: key('maxStartsPerMinute', whole(1, 100_000), 'the most starts within a minute; without it there is no such limit'),
  command: key('command', argumentVector, "the route's own startup command, run by scalers with --allow-route-commands instead of theirs"),
  stopCommand: key(
    'stopCommand',
    argumentVector,
    'run when an instance has left, for schedulers that would start it again; by scalers with --allow-route-commands',
  ),
  waitingPageAfter: key(
    'waitingPageAfterMs',
    duration(0),
    'a browser that has waited for this time is shown a page that asks again by itself; without it every client waits for its response',
  ),
  balance: key('balance', choice('newest', 'spread'), 'fill the newest instance first, or spread the load over all of them'),
  protocol: key(
    'protocol',
    choice('http1', 'h2c', 'tcp'),
    'the protocol of the application: HTTP/1.1, HTTP/2 in the clear (gRPC), or raw TCP',
  ),
  holdSignal: key(
    'holdSignalMs',
    duration(100),
    'how often a held client is sent an interim response, 102 (Processing), so that proxies in front do not take the silence for an end; without it never',
  ),
  holdComments: key(
    'holdCommentsMs',
    duration(100),
    'how often a held client that accepts text/event-stream is sent a comment: its response begins then, as 200, and the events of the application follow; without it never',
  ),
  sleepThrough: key(
    'sleepThrough',
    sleepRules,
    'requests that are served when an instance is there, and start none and keep none awake: health checks, crawlers',
  ),
  sleepStatus: key('sleepStatus', responseStatus, 'the response to such a request while no instance is there'),
  concurrency: key(
    'concurrency',
    whole(1, 1_000_000),
    'the expected concurrency of an instance, until the first one has linked; without it the first start is a single instance',
  ),
  queueOrder: key(
    'queueOrder',
    choice('adaptive', 'fifo'),
    'adaptive: in an overload a client that would leave before it is served gets a 503 at once; fifo: every client waits for holdTimeout',
  ),
  fairBy: key(
    'fairBy',
    fairSource,
    'clients wait in one line for each value of this, and each line gets the same share of the slots that come free',
  ),
  fairWeights: key('fairWeights', shareWeights, 'the shares of single values of fairBy; all others have 1'),
  priority: key(
    'priority',
    urgencySource,
    'what says how urgent a request is, from 0 (most urgent) to 7; 3 without it. A header of your own, or the header Priority (RFC 9218)',
  ),
  priorityWait: key(
    'priorityWaitMs',
    duration(0),
    'with priority: a client that has waited for this time counts as most urgent; 0s: however long it waits',
  ),
  cost: key('cost', costSource, 'the header that says how many slots of one instance a request takes: a whole number; 1 without it'),
  costBy: key('costBy', costRules, 'how many slots a request takes that does not say it, by its method and path; the first rule counts'),
  trustClients: key(
    'trustClients',
    yesNo,
    'fairBy, priority and cost believe the headers and cookies of every client, not only those that come through --trusted-proxies',
  ),
  match: key(
    'match',
    matchRules,
    'hosts, and hosts with the beginning of a path, that belong to the route; without it the host that it is named after',
  ),
  stripPrefix: key(
    'stripPrefix',
    yesNo,
    'the application is asked for the path without the prefix that matched, which X-Forwarded-Prefix says',
  ),
  affinity: key(
    'affinity',
    affinitySource,
    'requests with the same value of this go to the same instance while it is there; set-cookie: pullproxy gives each browser a cookie for that',
  ),
  affinityWait: key(
    'affinityWaitMs',
    duration(0, AFFINITY_WAIT_MS_MAX),
    'with affinity: how long a client waits for that instance while it has no idle slot, before it takes any',
  ),
  key: key(
    'key',
    keySource,
    'each value of this has its own instances, as many as maxInstances says, and its own queue, and sleeps and wakes by itself',
  ),
  maxKeys: key('maxKeys', whole(1, 100_000), 'with key: how many keys may be awake at once, in the whole cluster'),
  keyPattern: key('keyPattern', keyPatterns, 'with key: the keys that there may be; a request with another one gets a 404'),
  keyCheck: key(
    'keyCheck',
    keyCheck,
    'with key: what says whether a key exists, before anything is started for it: a URL (2xx: yes, 4xx: no), or a command (exit code 0: yes, 1: no) on nodes with --allow-key-commands',
  ),
  source: key(
    'source',
    text('KIND@PLACE', 'KIND@PLACE such as docker@host-1a2b3c4d', /^[a-z]{1,20}@[\w.-]{1,80}$/),
    'what has declared the route and starts its instances (--discover sets it): scalers leave its startup jobs to that one',
  ),
};

/**
 * Parses settings as users write them; missing keys come from `defaults`.
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
  if (problems.length === 0 && settings.fairWeights !== undefined && settings.fairBy === undefined) {
    problems.push(problem('fairWeights', shareWeights.write(settings.fairWeights), 'only together with fairBy'));
  }
  // What such an application answers is passed on as it is: it can not go on with a response that has begun.
  if (problems.length === 0 && record.holdComments !== undefined && settings.protocol === 'h2c')
    problems.push(problem('holdComments', record.holdComments, 'none with protocol=h2c, whose clients can be sent holdSignal'));
  if (problems.length === 0 && settings.protocol === 'tcp' && settings.affinity !== undefined && settings.affinity.from !== 'client') {
    problems.push(problem('affinity', affinitySource.write(settings.affinity), 'client, since TCP has neither headers nor cookies'));
  }
  if (problems.length === 0) problems.push(...keyProblems(settings));
  if (problems.length > 0) throw new ConfigError(problems);
  return settings;
}

/** Nobody knows which keys there are before somebody asks for them. */
function keyProblems({ key, minInstances, keyPattern, keyCheck: check }: RouteSettings): string[] {
  if (key !== undefined) return minInstances === 0 ? [] : [problem('minInstances', minInstances, '0 together with key')];
  return [
    ...(keyPattern === undefined ? [] : [problem('keyPattern', keyPatterns.write(keyPattern), 'only together with key')]),
    ...(check === undefined ? [] : [problem('keyCheck', keyCheck.write(check), 'only together with key')]),
  ];
}

/** The inverse: all keys as users write them. */
export function writeRouteSettings(settings: RouteSettings): Record<string, string | number | boolean> {
  const record: Record<string, string | number | boolean> = {};
  for (const [name, { field, kind }] of Object.entries(ROUTE_KEYS)) {
    const value = settings[field];
    if (value !== undefined) record[name] = kind.write(value);
  }
  return record;
}

/**
 * The same keys as in `record` and no others, checked and in canonical form. This is stored, so that a default
 * that changes later still reaches routes without that key.
 * @throws ConfigError as `parseRouteSettings` does.
 */
export function canonicalRouteRecord(record: RouteRecord): Record<string, string | number | boolean> {
  const written = writeRouteSettings(parseRouteSettings(record));
  return Object.fromEntries(Object.entries(written).filter(([name]) => Object.hasOwn(record, name)));
}

function key<T extends RouteValue>(field: keyof RouteSettings, kind: Kind<T>, help: string): RouteKey {
  return {
    field,
    // `write` only gets values that `read` returned.
    kind: { ...kind, write: (value) => kind.write(value as T) },
    help,
  };
}
