import { command } from '../command-spec.ts';
import { controlPlace, dialAddress, duration, routeKey, routeName, startId, text } from '../kinds.ts';
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
  usage: ['--proxy HOST:PORT... --route NAME [--concurrency N] [--app HOST:PORT] [-- CMD ARG...]'],
  about:
    'Runs CMD with a free port in the environment variable PORT, waits until it accepts connections, and then fetches requests from the nodes, never more at once than --concurrency. It listens nowhere. When the application has been idle for long enough, the linker stops it and ends. SIGHUP asks for one more instance.',
  settings: {
    proxy: atLeastOne('proxy', dialAddress, "a node's backend port; may be repeated, and a DNS name may have several addresses"),
    route: required('route', routeName, 'the host name that the application answers to'),
    key: optional('key', routeKey, 'the key of the route for which the instance is; the startup command finds it in KEY'),
    app: optional('app', dialAddress, 'where the application listens; without CMD it must be running already'),
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
    ['pullproxy linker --proxy 127.0.0.1:9080 --route database --app 127.0.0.1:5432 --concurrency 50', 'for a server that runs already'],
  ],
  check: (values, tail) => [
    ...(values.app === undefined && tail.length === 0
      ? ['--app is missing: expected the address of the running application, or its command after --']
      : []),
    ...concurrencyProblems(values),
    ...proxyTlsProblems(values),
    ...secretProblems(values),
  ],
});
