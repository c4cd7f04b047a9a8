/** Settings that several commands have. */
import { choice, duration, filePath, problem, redisUrls, text, whole } from '../kinds.ts';
import { DEFAULT_ROUTE_SETTINGS as ROUTE, ROUTE_KEYS, type RouteSettings } from '../route-settings.ts';
import { optional, secret, setting, type Values } from '../settings.ts';

export const DEFAULT_REDIS = 'redis://127.0.0.1:6379';

export const EVERYWHERE = {
  config: optional('config', filePath, 'YAML file with these settings; a flag or an environment variable beats it'),
};

export const SERVER = {
  logLevel: setting('log-level', choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'), 'info', 'how much to log'),
  ...EVERYWHERE,
};

/** For routes that have no settings of their own. */
export const ROUTE_DEFAULTS = {
  holdTimeoutMs: setting('hold-timeout', duration(1), ROUTE.holdTimeoutMs, routeHelp('holdTimeout')),
  maxHeld: setting('max-held', whole(0, 10_000_000), ROUTE.maxHeld, routeHelp('maxHeld')),
  minInstances: setting('min-instances', whole(0, 10_000), ROUTE.minInstances, routeHelp('minInstances')),
  maxInstances: setting('max-instances', whole(0, 10_000), ROUTE.maxInstances, routeHelp('maxInstances')),
  startTimeoutMs: setting('start-timeout', duration(1), ROUTE.startTimeoutMs, routeHelp('startTimeout')),
};

export const INSTANCE = {
  concurrency: setting(
    'concurrency',
    whole(1, 1_000_000),
    10,
    'requests (or TCP connections) that the application gets at once, never more',
  ),
  idleTimeoutMs: setting('idle-timeout', duration(1), 300_000, 'the newest instance leaves after being idle for so long'),
  oldIdleTimeoutMs: setting('old-idle-timeout', duration(1), 10_000, 'an older instance leaves after being idle for so long'),
  stopTimeoutMs: setting('stop-timeout', duration(0), 10_000, 'how long the application may take to stop after SIGTERM, before SIGKILL'),
  appProxyProtocol: optional(
    'app-proxy-protocol',
    choice('v1', 'v2'),
    'begin each connection to the application with a PROXY header of this version, which names the client; no connection serves two clients',
  ),
};

export const SECRET = secret(
  'secret',
  text('SECRET', 'at least one character'),
  'what nodes and linkers prove to each other that they know; better in the environment than in a flag, which others can see',
);

export const SECRET_FILE = optional(
  'secret-file',
  filePath,
  'file with secrets instead, one a line; routes behind one say what it is good for, and without them it is for all. Read again when it changes; linkers use its first',
);

export const LINK_VERSION_MIN = setting(
  'link-version-min',
  whole(1, 2),
  2,
  'oldest version of the protocol between nodes and linkers that is taken. 1 lets pullproxy 0.1 in, for the time of an upgrade: its proofs can be passed on by others, and are given to strangers',
);

export const REDIS = setting('redis', redisUrls, DEFAULT_REDIS, 'the Redis that the nodes share');

/** Settings for routes that have none of their own, out of a command's values. */
export function routeDefaultsOf(values: Values<typeof ROUTE_DEFAULTS>): RouteSettings {
  const { holdTimeoutMs, maxHeld, minInstances, maxInstances, startTimeoutMs } = values;
  return Object.freeze({ ...ROUTE, holdTimeoutMs, maxHeld, minInstances, maxInstances, startTimeoutMs });
}

export function instanceProblems({ minInstances, maxInstances }: { minInstances: number; maxInstances: number }): string[] {
  return minInstances > maxInstances ? [problem('--min-instances', minInstances, `at most --max-instances, which is ${maxInstances}`)] : [];
}

export function secretProblems({ secret: one, secretFile }: { secret?: string | undefined; secretFile?: string | undefined }): string[] {
  return one === undefined || secretFile === undefined ? [] : [problem('--secret-file', secretFile, 'no --secret with it')];
}

function routeHelp(key: string): string {
  return ROUTE_KEYS[key]?.help ?? '';
}
