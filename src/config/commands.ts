/**
 * Every setting of every command: one table. A row is the flag, what it takes, its default and what it is for; flags,
 * environment, file, help and the types of the code follow from it.
 */

import { command } from './command-spec.ts';
import { formatHostPort, type HostPort, isLoopback } from './host-port.ts';
import {
  choice,
  dialAddress,
  duration,
  filePath,
  listenAddress,
  nodeId,
  problem,
  rate,
  redisUrls,
  routeName,
  startId,
  text,
  whole,
  yesNo,
} from './kinds.ts';
import { CERTIFICATE, CLIENT_SIDE, PRIVATE_KEY, pairProblems, tlsProblems } from './listener-settings.ts';
import { COMPLETION, INSPECT } from './operator-commands.ts';
import { DEFAULT_ROUTE_SETTINGS as ROUTE, ROUTE_KEYS, type RouteSettings } from './route-settings.ts';
import { atLeastOne, many, onOff, optional, required, secret, setting, type Values } from './settings.ts';
import { OBSERVATION, TRACING } from './telemetry.ts';

const REDIS_DEFAULT = 'redis://127.0.0.1:6379';

const EVERYWHERE = {
  config: optional('config', filePath, 'YAML file with these settings; a flag or an environment variable beats it'),
};

const SERVER = {
  logLevel: setting('log-level', choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'), 'info', 'how much to log'),
  ...EVERYWHERE,
};

/** For routes that have no settings of their own. */
const ROUTE_DEFAULTS = {
  holdTimeoutMs: setting('hold-timeout', duration(1), ROUTE.holdTimeoutMs, routeHelp('holdTimeout')),
  maxHeld: setting('max-held', whole(0, 10_000_000), ROUTE.maxHeld, routeHelp('maxHeld')),
  minInstances: setting('min-instances', whole(0, 10_000), ROUTE.minInstances, routeHelp('minInstances')),
  maxInstances: setting('max-instances', whole(0, 10_000), ROUTE.maxInstances, routeHelp('maxInstances')),
  startTimeoutMs: setting('start-timeout', duration(1), ROUTE.startTimeoutMs, routeHelp('startTimeout')),
};

const INSTANCE = {
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

const SECRET = secret(
  'secret',
  text('SECRET', 'at least one character'),
  'what nodes and linkers prove to each other that they know; better in the environment than in a flag, which others can see',
);
const SECRET_FILE = optional(
  'secret-file',
  filePath,
  'file with secrets instead, one a line; routes behind one say what it is good for, and without them it is for all. Read again when it changes; linkers use its first',
);
const LINK_VERSION_MIN = setting(
  'link-version-min',
  whole(1, 2),
  2,
  'oldest version of the protocol between nodes and linkers that is taken. 1 lets pullproxy 0.1 in, for the time of an upgrade: its proofs can be passed on by others, and are given to strangers',
);
const REDIS = setting('redis', redisUrls, REDIS_DEFAULT, 'the Redis that the nodes share');

export const DEV = command({
  name: 'dev',
  summary: 'try it: proxy, scaling and your application in one command, without Redis',
  usage: ['[--listen URL]... [--concurrency N] [--max-instances N] -- CMD ARG...'],
  about:
    'Starts a proxy and, once somebody connects, CMD: as many instances of it as the load needs, each with its own port in the environment variable PORT. Idle instances leave again. All in memory; nothing has to be installed.',
  settings: {
    ...CLIENT_SIDE,
    route: setting('route', routeName, '*', 'the host name that the application answers to; * is any'),
    ...INSTANCE,
    ...ROUTE_DEFAULTS,
    ...OBSERVATION,
    ...SERVER,
  },
  tail: 'required',
  operands: false,
  routes: false,
  examples: [
    ['pullproxy dev -- node server.js', 'an application that listens on $PORT, at http://127.0.0.1:8080/'],
    ['pullproxy dev --concurrency 1 --max-instances 4 -- python3 app.py', 'one request at a time per process, at most four processes'],
  ],
  check: (values) => [...tlsProblems(values), ...instanceProblems(values)],
});

export const NODE = command({
  name: 'node',
  summary: 'the proxy: clients connect here, linkers collect them',
  usage: [
    '[--listen URL]... [--backend HOST:PORT] [--advertise HOST:PORT] [--admin HOST:PORT] [--redis URL] [--workers N] [--config FILE]',
  ],
  about:
    'Takes clients in and holds them until an instance of their application has a free slot. Several nodes with the same Redis act as one proxy; without --redis the node is on its own.',
  settings: {
    ...CLIENT_SIDE,
    backend: setting('backend', listenAddress, { host: '0.0.0.0', port: 9080 }, 'where linkers connect'),
    advertise: optional(
      'advertise',
      dialAddress,
      "the address under which linkers of other nodes reach this node's backend port; found out when absent",
    ),
    backendTlsCert: optional('backend-tls-cert', filePath, `${CERTIFICATE} of the backend port: turns TLS on there`),
    backendTlsKey: optional('backend-tls-key', filePath, `${PRIVATE_KEY} of the backend port`),
    backendTlsCa: optional('backend-tls-ca', filePath, 'file with the authorities (PEM) of which linkers must have a certificate'),
    backendTlsName: optional(
      'backend-tls-name',
      text('NAME', 'the name in a certificate', /^[\w.-]{1,253}$/),
      "name that every node's backend certificate has: what nodes look for when they relay to each other",
    ),
    secret: SECRET,
    secretFile: SECRET_FILE,
    insecure: onOff('insecure', yesNo, 'listen for linkers beyond this machine without a secret: whoever reaches the port can be one'),
    linkVersionMin: LINK_VERSION_MIN,
    routesPerSecretMax: setting(
      'routes-per-secret-max',
      whole(1, 100_000),
      10_000,
      'routes without settings that linkers with one secret may make known at this node; 100000 with all secrets together',
    ),
    redis: optional('redis', redisUrls, 'the Redis that all nodes share; without it this node runs alone'),
    id: optional('id', nodeId, "the node's name; made up when absent"),
    workers: setting(
      'workers',
      whole(1, 64),
      1,
      'processes that serve, each a node of its own behind the same ports; needs --redis. The ports after that of --backend are their own',
    ),
    ...ROUTE_DEFAULTS,
    ...OBSERVATION,
    ...SERVER,
  },
  tail: 'none',
  operands: false,
  routes: true,
  examples: [
    ['pullproxy node --backend 127.0.0.1:9080', 'one node, no Redis: clients at port 8080, linkers of this machine at port 9080'],
    [
      'pullproxy node --secret-file secrets --redis redis://redis.example.com --advertise proxy1.example.com:9080',
      'one of several nodes, for linkers anywhere',
    ],
    ['pullproxy node --secret-file secrets --listen http://0.0.0.0:80 --listen "tcp://0.0.0.0:5432?route=database"', 'web and TCP'],
  ],
  check: (values) => [
    ...tlsProblems(values),
    ...pairProblems(values.backendTlsCert, values.backendTlsKey, 'backend-tls'),
    ...(values.backendTlsCa !== undefined && values.backendTlsCert === undefined
      ? [problem('--backend-tls-ca', values.backendTlsCa, '--backend-tls-cert and --backend-tls-key with it')]
      : []),
    ...(values.backendTlsName !== undefined && values.backendTlsCert === undefined
      ? [problem('--backend-tls-name', values.backendTlsName, '--backend-tls-cert and --backend-tls-key with it')]
      : []),
    ...secretProblems(values),
    ...openBackendProblems(values),
    ...instanceProblems(values),
    ...workersProblems(values),
  ],
});

export const LINKER = command({
  name: 'linker',
  summary: 'the sidecar: runs your application and collects its requests',
  usage: ['--proxy HOST:PORT... --route NAME [--concurrency N] [--app HOST:PORT] [-- CMD ARG...]'],
  about:
    'Runs CMD with a free port in the environment variable PORT, waits until it accepts connections, and then fetches requests from the nodes, never more at once than --concurrency. It listens nowhere. When the application has been idle for long enough, it leaves, and the application with it. SIGHUP asks for one more instance.',
  settings: {
    proxy: atLeastOne('proxy', dialAddress, "a node's backend port; may be repeated, and a DNS name may have several addresses"),
    route: required('route', routeName, 'the host name that the application answers to'),
    app: optional('app', dialAddress, 'where the application listens; without CMD it is running already'),
    ...INSTANCE,
    startTimeoutMs: setting('start-timeout', duration(1), 60_000, 'how long the application may take until it is ready'),
    readyPath: optional(
      'ready-path',
      text('PATH', 'a path such as /healthz', /^\/[\x21-\x7e]*$/),
      'the application is ready when it answers a GET of this path with 2xx; without it, when it accepts connections',
    ),
    lingerMs: setting(
      'linger',
      duration(0),
      0,
      'having left, stay for so long, or until SIGTERM: where a scheduler starts again what ends, and stopCommand tells it not to',
    ),
    drainTimeoutMs: setting('drain-timeout', duration(0), 30_000, 'after SIGTERM: how long running requests may take to end'),
    startId: optional('start-id', startId, 'the startup job that began this instance; the startup command finds it in START_ID'),
    secret: SECRET,
    secretFile: SECRET_FILE,
    proxyTlsCa: optional('proxy-tls-ca', filePath, 'file with the authorities (PEM) that nodes must be certified by: turns TLS on'),
    proxyTlsCert: optional('proxy-tls-cert', filePath, `${CERTIFICATE} that the linker shows to nodes`),
    proxyTlsKey: optional('proxy-tls-key', filePath, `${PRIVATE_KEY} of that certificate`),
    proxyTlsName: optional(
      'proxy-tls-name',
      text('NAME', 'the name in a certificate', /^[\w.-]{1,253}$/),
      "name that every node's certificate has; without it the name that is dialled, or for an IP address the extended key usage serverAuth",
    ),
    linkVersionMin: LINK_VERSION_MIN,
    ...SERVER,
  },
  tail: 'optional',
  operands: false,
  routes: false,
  examples: [
    [
      'pullproxy linker --proxy proxy.example.com:9080 --route app.example.com -- node server.js',
      'runs server.js and serves app.example.com with it',
    ],
    ['pullproxy linker --proxy 127.0.0.1:9080 --route database --app 127.0.0.1:5432 --concurrency 50', 'for a server that runs already'],
  ],
  check: (values, tail) => [
    ...(values.app === undefined && tail.length === 0
      ? ['--app is missing: expected the address of the running application, or its command after --']
      : []),
    ...pairProblems(values.proxyTlsCert, values.proxyTlsKey, 'proxy-tls'),
    ...(values.proxyTlsName !== undefined && values.proxyTlsCa === undefined
      ? [problem('--proxy-tls-name', values.proxyTlsName, '--proxy-tls-ca with it')]
      : []),
    ...secretProblems(values),
  ],
});

export const SCALER = command({
  name: 'scaler',
  summary: 'runs your startup command when clients wait for an application',
  usage: ['[--redis URL] [--rate N/DURATION] [--parallel N] [--command-timeout DURATION] -- CMD ARG...'],
  about:
    'Runs CMD once for each instance that is missing. {route}, {start_id}, {desired} and {count} inside its arguments are replaced; ROUTE, START_ID, DESIRED, COUNT, HELD and READY are in its environment. CMD starts the instance with whatever scheduler you have and ends; no shell is involved.',
  settings: {
    redis: REDIS,
    rate: setting('rate', rate, { count: 10, durationMs: 1000 }, 'how many startup jobs may begin in which time, in the whole cluster'),
    parallel: setting('parallel', whole(1, 1000), 4, 'startup jobs that this scaler runs at the same time'),
    commandTimeoutMs: setting('command-timeout', duration(1), 60_000, 'a startup command that takes longer is stopped and tried again'),
    allowRouteCommands: onOff(
      'allow-route-commands',
      yesNo,
      'also run the commands that routes name in their settings (command, stopCommand): whoever may set a route may then run programs here',
    ),
    commandEnv: many(
      'command-env',
      text('NAME', 'the name of an environment variable', /^[A-Za-z_]\w*$/),
      [],
      'a variable of the environment that the startup command sees, too; may be repeated. It sees no secrets of its own accord',
    ),
    outputDir: optional(
      'output-dir',
      text('DIR', 'a directory', /^[^\0]{1,4096}$/),
      'where startup commands write to, a file for each run (at most 1 MiB of it is kept; removed an hour after the last process that writes to it, and beyond 100 of these); by default pullproxy-UID in the directory for temporary files, or in /dev/shm where that is read-only',
    ),
    admin: optional('admin', listenAddress, 'where health, metrics and the API of the scaler are; without it there is no such port'),
    adminToken: CLIENT_SIDE.adminToken,
    adminMetricsOpen: CLIENT_SIDE.adminMetricsOpen,
    ...TRACING,
    ...SERVER,
  },
  tail: 'optional',
  operands: false,
  routes: false,
  examples: [
    ['pullproxy scaler -- docker run -d --rm -e PULLPROXY_START_ID={start_id} my-app', 'one container per missing instance'],
    ['pullproxy scaler --rate 2/1s -- systemctl start "my-app@{start_id}"', 'at most two jobs a second'],
    ['pullproxy scaler --allow-route-commands', 'each route names its own command'],
  ],
  check: ({ allowRouteCommands }, tail) =>
    tail.length === 0 && !allowRouteCommands
      ? ['-- CMD ARG...: expected the startup command at the end of the line, or --allow-route-commands']
      : [],
});

export const STATUS = command({
  name: 'status',
  summary: 'shows nodes, routes and instances',
  usage: ['[--redis URL] [--json] [--watch]'],
  about: 'Reads what the nodes say in Redis and prints it: what is wrong first, then routes, nodes, startup jobs and instances.',
  settings: {
    redis: REDIS,
    json: onOff('json', yesNo, 'print JSON, in the form of /api/v1/state'),
    watch: onOff('watch', yesNo, 'again each second; on a terminal in the manner of top, until q or Ctrl-C'),
    ...EVERYWHERE,
  },
  tail: 'none',
  operands: false,
  routes: false,
  examples: [
    ['pullproxy status --watch', 'a live picture'],
    ['pullproxy status --json', 'for scripts'],
  ],
});

export const ROUTES = command({
  name: 'route',
  summary: 'lists, shows, sets and deletes settings of routes, restarts instances',
  usage: ['list | get NAME | set NAME key=value... | delete NAME | restart NAME   [--redis URL]'],
  about: `A route is the name of one application. Its settings are the same at every node, and a change takes effect at once:\n${routeKeysHelp()}`,
  settings: { redis: REDIS, ...EVERYWHERE },
  tail: 'none',
  operands: true,
  routes: false,
  examples: [
    ['pullproxy route set app.example.com maxInstances=20 holdTimeout=10s', 'adds to what is set already'],
    ['pullproxy route set "*.example.com" minInstances=1', 'one application for all hosts below example.com'],
    ['pullproxy route get app.example.com', 'all settings, defaults included'],
    ['pullproxy route restart app.example.com', 'every instance is replaced by a new one, which takes over when it is ready'],
  ],
});

export const COMMANDS = [DEV, NODE, LINKER, SCALER, STATUS, ROUTES, INSPECT, COMPLETION] as const;

/** Settings for routes that have none of their own, out of a command's values. */
export function routeDefaultsOf(values: Values<typeof ROUTE_DEFAULTS>): RouteSettings {
  const { holdTimeoutMs, maxHeld, minInstances, maxInstances, startTimeoutMs } = values;
  return Object.freeze({ ...ROUTE, holdTimeoutMs, maxHeld, minInstances, maxInstances, startTimeoutMs });
}

function routeHelp(key: string): string {
  return ROUTE_KEYS[key]?.help ?? '';
}

function routeKeysHelp(): string {
  return Object.entries(ROUTE_KEYS)
    .map(([name, { kind, help }]) => `  ${name}: ${help} (${kind.expected})`)
    .join('\n');
}

/** Each worker is a node: without Redis they would know nothing of each other. */
function workersProblems({ workers, redis, backend }: { workers: number; redis?: string | undefined; backend: HostPort }): string[] {
  if (workers === 1) return [];
  if (redis === undefined) return [problem('--workers', workers, '1, or --redis with it, through which workers share their slots')];
  if (backend.port > 0 && backend.port + workers > 65_535)
    return [problem('--backend', formatHostPort(backend), `${workers} ports after it, for the workers`)];
  return [];
}

function instanceProblems({ minInstances, maxInstances }: { minInstances: number; maxInstances: number }): string[] {
  return minInstances > maxInstances ? [problem('--min-instances', minInstances, `at most --max-instances, which is ${maxInstances}`)] : [];
}

function secretProblems({ secret: one, secretFile }: { secret?: string | undefined; secretFile?: string | undefined }): string[] {
  return one === undefined || secretFile === undefined ? [] : [problem('--secret-file', secretFile, 'no --secret with it')];
}

/** Without a secret everybody is a linker: that is for those on this machine, unless the operator wants it. */
function openBackendProblems(values: {
  readonly backend: HostPort;
  readonly secret?: string | undefined;
  readonly secretFile?: string | undefined;
  readonly insecure: boolean;
}): string[] {
  const { backend, secret: one, secretFile, insecure } = values;
  const isOpen = backend.host !== 'localhost' && !isLoopback(backend.host);
  if (!isOpen || insecure || one !== undefined || secretFile !== undefined) return [];
  const port = formatHostPort({ host: '127.0.0.1', port: backend.port });
  return [
    problem(
      '--backend',
      formatHostPort(backend),
      `a secret with it (PULLPROXY_SECRET or --secret-file), since whoever reaches it could be a linker; or ${port}, for linkers of this machine only; or --insecure`,
    ),
  ];
}
