import { command } from '../command-spec.ts';
import {
  controlPlace,
  dialAddress,
  duration,
  type InstanceRange,
  instanceRange,
  problem,
  routeKey,
  routeName,
  startId,
  text,
} from '../kinds.ts';
import { atLeastOne, optional, required, setting } from '../settings.ts';
import {
  concurrencyProblems,
  INSTANCE,
  LINK_VERSION_MIN,
  PROXY_TLS,
  proxyTlsProblems,
  SECRET,
  SECRET_FILE,
  SERVER,
  secretProblems,
} from './common-settings.ts';

export const LINKER = command({
  name: 'linker',
  summary: 'the sidecar: runs your application and collects its requests',
  usage: [
    '--proxy HOST:PORT... --route NAME [--concurrency N] [--app HOST:PORT] [-- CMD ARG...]',
    '--proxy HOST:PORT... --route NAME --instances MIN-MAX [--concurrency N] -- CMD ARG...',
  ],
  about:
    'Runs CMD with a free port in the environment variable PORT, waits until it accepts connections, and then fetches requests from the nodes, never more at once than --concurrency. It listens nowhere. When the application has been idle for long enough, the linker stops it and ends. SIGHUP asks for one more instance.',
  settings: {
    proxy: atLeastOne('proxy', dialAddress, "a node's backend port; may be repeated, and a DNS name may have several addresses"),
    route: required('route', routeName, 'the host name that the application answers to'),
    key: optional('key', routeKey, 'the key of the route for which the instance is; the startup command finds it in KEY'),
    app: optional('app', dialAddress, 'where the application listens; without CMD it must be running already'),
    instances: optional(
      'instances',
      instanceRange,
      'run so many instances of CMD, each with its own port and slots: MIN of them always, and up to MAX as the scaler gives starts to this process, which then is an agent and needs no startup command',
    ),
    ...INSTANCE,
    control: optional(
      'control',
      controlPlace,
      'where the application says its limit, told to it in PULLPROXY_CONTROL; without it a socket in a new directory that only this user may enter',
    ),
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
      'after leaving, stay for this time or until SIGTERM: for schedulers that restart a process that ends, until stopCommand tells them not to',
    ),
    drainTimeoutMs: setting('drain-timeout', duration(0), 30_000, 'after SIGTERM: how long running requests may take to end'),
    startId: optional('start-id', startId, 'the startup job that began this instance; the startup command finds it in START_ID'),
    secret: SECRET,
    secretFile: SECRET_FILE,
    ...PROXY_TLS,
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
    [
      'pullproxy linker --proxy proxy.example.com:9080 --route app.example.com --instances 0-8 -- node server.js',
      'an agent: up to eight instances on this machine, started as clients come',
    ],
    ['pullproxy linker --proxy 127.0.0.1:9080 --route database --app 127.0.0.1:5432 --concurrency 50', 'for a server that runs already'],
  ],
  check: (values, tail) => [
    ...(values.app === undefined && tail.length === 0
      ? ['--app is missing: expected the address of the running application, or its command after --']
      : []),
    ...agentProblems(values, tail),
    ...concurrencyProblems(values),
    ...proxyTlsProblems(values),
    ...secretProblems(values),
  ],
});

/** What belongs to one instance, and not to an agent. */
function agentProblems(
  values: { readonly [name: string]: unknown; readonly instances?: InstanceRange | undefined },
  tail: readonly string[],
): string[] {
  const { instances } = values;
  if (instances === undefined) return [];
  const said = instanceRange.write(instances);
  const ofOne = { app: '--app', key: '--key', control: '--control', startId: '--start-id' };
  const problems = Object.entries(ofOne).flatMap(([name, flag]) =>
    values[name] === undefined ? [] : [problem('--instances', said, `no ${flag} with it`)],
  );
  if (values.lingerMs !== 0) problems.push(problem('--instances', said, 'no --linger with it'));
  return tail.length > 0 ? problems : [...problems, problem('--instances', said, 'the command of the application after --')];
}
