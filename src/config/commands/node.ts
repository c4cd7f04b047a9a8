import { command } from '../command-spec.ts';
import { formatHostPort, type HostPort, isLoopback } from '../host-port.ts';
import { dialAddress, drainDelay, filePath, listenAddress, nodeId, problem, redisUrls, text, whole, yesNo } from '../kinds.ts';
import { CERTIFICATE, LISTENER_SETTINGS, PRIVATE_KEY, pairProblems, tlsProblems } from '../listener-settings.ts';
import { onOff, optional, setting } from '../settings.ts';
import { TELEMETRY_SETTINGS } from '../telemetry.ts';
import { instanceProblems, LINK_VERSION_MIN, ROUTE_DEFAULTS, SECRET, SECRET_FILE, SERVER, secretProblems } from './common-settings.ts';

export const NODE = command({
  name: 'node',
  summary: 'the proxy: clients connect here, linkers collect them',
  usage: [
    '[--listen URL]... [--backend HOST:PORT] [--advertise HOST:PORT] [--admin HOST:PORT] [--redis URL] [--workers N] [--config FILE]',
  ],
  about:
    'Takes clients in and holds them until an instance of their application has a free slot. Several nodes with the same Redis act as one proxy; without --redis the node is on its own.',
  settings: {
    ...LISTENER_SETTINGS,
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
    drainDelayMs: setting(
      'drain-delay',
      drainDelay,
      0,
      'after SIGTERM: how long to serve on while /readyz says 503 and every answer ends its connection. Give what sends clients here (a load balancer, keepalived, BGP) time to notice',
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

/** Each worker is a node: without Redis they would know nothing of each other. */
function workersProblems({ workers, redis, backend }: { workers: number; redis?: string | undefined; backend: HostPort }): string[] {
  if (workers === 1) return [];
  if (redis === undefined) return [problem('--workers', workers, '1, or --redis with it, through which workers share their slots')];
  if (backend.port > 0 && backend.port + workers > 65_535)
    return [problem('--backend', formatHostPort(backend), `${workers} ports after it, for the workers`)];
  return [];
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
