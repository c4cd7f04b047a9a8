import { command } from '../command-spec.ts';
import { choice, problem, routeName } from '../kinds.ts';
import { LISTENER_SETTINGS, listenSetting, tlsProblems } from '../listener-settings.ts';
import { optional, setting } from '../settings.ts';
import { TELEMETRY_SETTINGS } from '../telemetry.ts';
import { concurrencyProblems, INSTANCE, instanceProblems, ROUTE_DEFAULTS, SERVER } from './common-settings.ts';

export const DEV = command({
  name: 'dev',
  summary: 'try it: proxy, scaling and your application in one command, without Redis',
  usage: ['[--listen URL]... [--concurrency N] [--max-instances N] -- CMD ARG...'],
  about:
    'Starts a proxy and, once somebody connects, CMD: as many instances of it as the load needs, each with its own port in the environment variable PORT. Idle instances leave again. Everything is in memory; nothing has to be installed.',
  settings: {
    ...LISTENER_SETTINGS,
    // For this machine only, until somebody asks for more.
    listen: listenSetting('127.0.0.1'),
    route: setting('route', routeName, '*', 'the host name that the application answers to; * is any'),
    ...INSTANCE,
    ...ROUTE_DEFAULTS,
    ...TELEMETRY_SETTINGS,
    ...SERVER,
    logFormat: optional(
      'log-format',
      choice('people', 'json'),
      'short lines for people, or JSON; by default people on a terminal, else JSON',
    ),
  },
  tail: 'required',
  operands: false,
  routes: false,
  examples: [
    ['pullproxy dev -- node server.js', 'an application that listens on $PORT, at http://127.0.0.1:8080/'],
    ['pullproxy dev --concurrency 1 --max-instances 4 -- python3 app.py', 'one request at a time per process, at most four processes'],
  ],
  check: (values) => [...tlsProblems(values), ...instanceProblems(values), ...concurrencyProblems(values), ...noInstance(values)],
});

/** A node of a cluster may have routes without instances of their own; here there is nothing else. */
function noInstance({ maxInstances }: { readonly maxInstances: number }): string[] {
  return maxInstances === 0 ? [problem('--max-instances', 0, 'at least 1, or no client would ever be served')] : [];
}
