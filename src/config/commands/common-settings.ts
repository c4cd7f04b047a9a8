/** Settings that several commands have. */
import { ConfigError } from '../../errors.ts';
import { dockerHost, dockerHostOf } from '../docker-host.ts';
import { choice, concurrency, duration, filePath, problem, redisUrls, type SearchedLimit, text, whole } from '../kinds.ts';
import { CERTIFICATE, PRIVATE_KEY, pairProblems } from '../listener-settings.ts';
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
    concurrency,
    10,
    'requests (or TCP connections) that the application gets at once, never more, until it says another number itself; 0: none yet; auto: the linker finds how many it takes',
  ),
  concurrencyMax: optional(
    'concurrency-max',
    whole(1, 1_000_000),
    'the application can not set its limit beyond this (1000, or --concurrency if that is more)',
  ),
  idleTimeoutMs: setting('idle-timeout', duration(1), 300_000, 'the newest instance leaves after being idle for this time'),
  oldIdleTimeoutMs: setting('old-idle-timeout', duration(1), 10_000, 'an older instance leaves after being idle for this time'),
  stopTimeoutMs: setting('stop-timeout', duration(0), 10_000, 'how long the application may take to stop after SIGTERM, before SIGKILL'),
  appProxyProtocol: optional(
    'app-proxy-protocol',
    choice('v1', 'v2'),
    'begin each connection to the application with a PROXY header of this version, which names the client; each connection then serves one client',
  ),
};

export const SECRET = secret(
  'secret',
  text('SECRET', 'at least one character'),
  'the secret that nodes and linkers prove to each other; set it in the environment, because others can see a flag',
);

export const SECRET_FILE = optional(
  'secret-file',
  filePath,
  'file with secrets, one on each line, followed by the routes that it allows; without routes it allows all. Read again when it changes; linkers use the first secret',
);

/** TLS of linkers to nodes. */
export const PROXY_TLS = {
  proxyTlsCa: optional(
    'proxy-tls-ca',
    filePath,
    'file with certificate authorities (PEM): nodes must have a certificate from one of them. Turns TLS on',
  ),
  proxyTlsCert: optional('proxy-tls-cert', filePath, `${CERTIFICATE} that the linker shows to nodes`),
  proxyTlsKey: optional('proxy-tls-key', filePath, `${PRIVATE_KEY} of that certificate`),
  proxyTlsName: optional(
    'proxy-tls-name',
    text('NAME', 'the name in a certificate', /^[\w.-]{1,253}$/),
    "name in every node's certificate; without it the name that was dialled, or for an IP address the extended key usage serverAuth",
  ),
};

export function proxyTlsProblems(values: Values<typeof PROXY_TLS>): string[] {
  const { proxyTlsCa, proxyTlsCert, proxyTlsKey, proxyTlsName } = values;
  return [
    ...pairProblems(proxyTlsCert, proxyTlsKey, 'proxy-tls'),
    ...(proxyTlsName !== undefined && proxyTlsCa === undefined
      ? [problem('--proxy-tls-name', proxyTlsName, '--proxy-tls-ca with it')]
      : []),
  ];
}

export const LINK_VERSION_MIN = setting(
  'link-version-min',
  whole(1, 2),
  2,
  'oldest version of the link protocol that is accepted. 1 accepts pullproxy 0.1 during an upgrade: others can pass its proofs on, and strangers receive them',
);

/** Where routes and their applications are found. */
export const DISCOVERY = {
  discover: optional(
    'discover',
    choice('docker', 'kubernetes'),
    'docker: take routes from the labels of Docker containers (pullproxy.route=NAME, pullproxy.port=80 and so on), start these containers when clients wait, and stop them when they are idle. kubernetes: take them from the annotations of Deployments (pullproxy/route: NAME and so on), start their Pods, and take those off whose linkers have left (a scaler does that)',
  ),
  dockerHost: optional(
    'docker-host',
    dockerHost,
    "with --discover docker: where Docker's API is; without it DOCKER_HOST, or unix:///var/run/docker.sock",
  ),
  dockerLabel: optional(
    'docker-label',
    text('NAME[=VALUE]', 'a label such as com.docker.compose.project=home', /^[\w./-]{1,255}(=[^\0]{0,1024})?$/),
    'with --discover docker: only containers that have this label as well, where several pullproxies share one Docker',
  ),
};

type Discovered = Omit<Values<typeof DISCOVERY>, 'discover'> & { readonly discover?: string | undefined };

/** What a reader of several settings finds wrong. */
export function problemsOf(read: () => unknown): string[] {
  try {
    read();
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [...error.problems];
  }
}

export function discoveryProblems(values: Discovered): string[] {
  const { discover, dockerHost: host, dockerLabel } = values;
  if (discover !== 'docker')
    return [
      ...(host === undefined ? [] : [problem('--docker-host', host.said, '--discover docker with it')]),
      ...(dockerLabel === undefined ? [] : [problem('--docker-label', dockerLabel, '--discover docker with it')]),
    ];
  return problemsOf(() => dockerHostOf(host));
}

export const REDIS = setting('redis', redisUrls, DEFAULT_REDIS, 'the Redis that the nodes share');

/** The settings of routes without settings of their own, from a command's values. */
export function routeDefaultsOf(values: Values<typeof ROUTE_DEFAULTS>): RouteSettings {
  const { holdTimeoutMs, maxHeld, minInstances, maxInstances, startTimeoutMs } = values;
  return Object.freeze({ ...ROUTE, holdTimeoutMs, maxHeld, minInstances, maxInstances, startTimeoutMs });
}

export function instanceProblems({ minInstances, maxInstances }: { minInstances: number; maxInstances: number }): string[] {
  return minInstances > maxInstances ? [problem('--min-instances', minInstances, `at most --max-instances, which is ${maxInstances}`)] : [];
}

export function concurrencyProblems(values: { concurrency: number | SearchedLimit; concurrencyMax?: number | undefined }): string[] {
  const { concurrency: said, concurrencyMax: most } = values;
  const highest = typeof said === 'number' ? said : (said.most ?? said.least);
  if (most === undefined || highest <= most) return [];
  return [problem('--concurrency', concurrency.write(said), `at most --concurrency-max, which is ${most}`)];
}

export function secretProblems({ secret: one, secretFile }: { secret?: string | undefined; secretFile?: string | undefined }): string[] {
  return one === undefined || secretFile === undefined ? [] : [problem('--secret-file', secretFile, 'no --secret with it')];
}

function routeHelp(key: string): string {
  return ROUTE_KEYS[key]?.help ?? '';
}
