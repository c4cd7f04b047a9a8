import { command } from '../command-spec.ts';
import { formatHostPort, type HostPort, isLoopback } from '../host-port.ts';
import {
  dialAddress,
  directoryPath,
  drainDelay,
  filePath,
  listenAddress,
  nodeId,
  problem,
  redisUrls,
  routeFiles,
  text,
  whole,
  yesNo,
} from '../kinds.ts';
import { CERTIFICATE, LISTENER_SETTINGS, PRIVATE_KEY, pairProblems, tlsProblems } from '../listener-settings.ts';
import { ROUTES_FLAG } from '../route-files.ts';
import { onOff, optional, setting } from '../settings.ts';
import { TELEMETRY_SETTINGS } from '../telemetry.ts';
import {
  DISCOVERY,
  discoveryProblems,
  instanceProblems,
  LINK_VERSION_MIN,
  ROUTE_DEFAULTS,
  SECRET,
  SECRET_FILE,
  SERVER,
  secretProblems,
} from './common-settings.ts';

export const NODE = command({
  name: 'node',
  summary: 'the proxy: clients connect here, linkers collect them',
  usage: [
    '[--listen URL]... [--backend HOST:PORT] [--advertise HOST:PORT] [--admin HOST:PORT] [--redis URL] [--workers N] [--config FILE]',
  ],
  about:
    'Accepts clients and holds them until an instance of their application has a free slot. Several nodes with the same Redis act as one proxy; without --redis the node runs alone.',
  settings: {
    ...LISTENER_SETTINGS,
    backend: setting('backend', listenAddress, { host: '0.0.0.0', port: 9080 }, 'where linkers connect'),
    advertise: optional(
      'advertise',
      dialAddress,
      "the address at which linkers and other nodes reach this node's backend port; without it the node finds an address of this machine",
    ),
    backendTlsCert: optional('backend-tls-cert', filePath, `${CERTIFICATE} of the backend port: turns TLS on there`),
    backendTlsKey: optional('backend-tls-key', filePath, `${PRIVATE_KEY} of the backend port`),
    backendTlsCa: optional(
      'backend-tls-ca',
      filePath,
      'file with certificate authorities (PEM): linkers must have a certificate from one of them',
    ),
    backendTlsName: optional(
      'backend-tls-name',
      text('NAME', 'the name in a certificate', /^[\w.-]{1,253}$/),
      "name in every node's backend certificate: nodes check it when they relay to each other",
    ),
    secret: SECRET,
    secretFile: SECRET_FILE,
    insecure: onOff(
      'insecure',
      yesNo,
      'listen for linkers beyond this machine without a secret: everybody who reaches the port can be a linker',
    ),
    linkVersionMin: LINK_VERSION_MIN,
    routesPerSecretMax: setting(
      'routes-per-secret-max',
      whole(1, 100_000),
      10_000,
      'routes without settings that linkers with one secret may create at this node; 100000 with all secrets together',
    ),
    linksPerSecretMax: setting(
      'links-per-secret-max',
      whole(1, 1_000_000),
      10_000,
      'links of linkers with one secret at this node: further ones are refused, and their linkers try other nodes',
    ),
    redis: optional('redis', redisUrls, 'the Redis that all nodes share; without it this node runs alone'),
    allowKeyCommands: onOff(
      'allow-key-commands',
      yesNo,
      'run commands that routes have as keyCheck. Everybody who can set a route can then run programs as the user of this node',
    ),
    stateDir: optional(
      'state-dir',
      directoryPath,
      'directory in which the node keeps the settings of routes that it knows: it restores them where Redis has lost them, also after all nodes were restarted',
    ),
    pagesDir: optional(
      'pages',
      directoryPath,
      'directory with pages for browsers that wait (waitingPageAfter): NAME.html for the route NAME, default.html for all others; read again at a reload',
    ),
    routesFrom: optional(
      ROUTES_FLAG,
      routeFiles,
      'file with routes, or directory with *.yaml: each has "routes:" as in --config. They are read again when they change; a route that is in none any more is deleted, unless its settings were changed elsewhere',
    ),
    ...DISCOVERY,
    id: optional('id', nodeId, "the node's name; by default the host name and some random characters"),
    workers: setting(
      'workers',
      whole(1, 64),
      1,
      'worker processes, each a node of its own behind the same ports; needs --redis. The ports after that of --backend belong to one worker each',
    ),
    drainDelayMs: setting(
      'drain-delay',
      drainDelay,
      0,
      'after SIGTERM: how long to serve on while /readyz says 503 and every response ends its connection. Give what sends clients here (a load balancer, keepalived, BGP) time to notice',
    ),
    routesOnce: onOff(
      'routes-once',
      yesNo,
      "set the routes of the configuration file only where a route has never had settings: what operators have set or deleted stays. Without it, the file's settings are set at each start",
    ),
    check: onOff(
      'check',
      yesNo,
      'read and check configuration, certificates, keys and secrets, start nothing, and end: with 0, or with 2 and what is wrong',
    ),
    ...ROUTE_DEFAULTS,
    ...TELEMETRY_SETTINGS,
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
    ['pullproxy node --discover docker', 'containers with the label pullproxy.route=NAME wake when clients come'],
    ['pullproxy node --config node.yaml --check', 'is it right? before a restart or a reload'],
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
    ...discoveryProblems(values),
    ...apartProblems(values),
  ],
});

/** Each worker is a node: without Redis the workers would not know each other. */
function workersProblems({ workers, redis, backend }: { workers: number; redis?: string | undefined; backend: HostPort }): string[] {
  if (workers === 1) return [];
  if (redis === undefined) return [problem('--workers', workers, '1, or --redis with it: workers share their slots through Redis')];
  if (backend.port > 0 && backend.port + workers > 65_535)
    return [problem('--backend', formatHostPort(backend), `${workers} ports after it, for the workers`)];
  return [];
}

/** In a cluster the instances are those of all nodes, and several nodes may see one Docker: a scaler starts them, once. */
function apartProblems({ discover, redis }: { discover?: string | undefined; redis?: string | undefined }): string[] {
  if (discover === 'kubernetes')
    return [problem('--discover', discover, 'docker: of Kubernetes a scaler does it, pullproxy scaler --discover kubernetes')];
  if (discover === undefined || redis === undefined) return [];
  const scaler = `pullproxy scaler --redis URL --discover ${discover} --proxy HOST:PORT`;
  return [
    problem(
      '--discover',
      discover,
      `no --redis with it: where nodes share a Redis, a scaler on the machine of the containers discovers them: ${scaler}`,
    ),
  ];
}

/** Without a secret everybody can be a linker. So the port is for this machine only, unless the operator says otherwise. */
function openBackendProblems(values: {
  readonly backend: HostPort;
  readonly secret?: string | undefined;
  readonly secretFile?: string | undefined;
  readonly insecure: boolean;
  readonly discover?: string | undefined;
}): string[] {
  const { backend, secret: one, secretFile, insecure, discover } = values;
  const isOpen = backend.host !== 'localhost' && !isLoopback(backend.host);
  // Then the port is for the node alone.
  if (discover !== undefined) return [];
  if (!isOpen || insecure || one !== undefined || secretFile !== undefined) return [];
  const port = formatHostPort({ host: '127.0.0.1', port: backend.port });
  return [
    problem(
      '--backend',
      formatHostPort(backend),
      `a secret with it (PULLPROXY_SECRET or --secret-file), because everybody who reaches the port could be a linker; or ${port}, for linkers of this machine only; or --insecure`,
    ),
  ];
}
