import { command } from '../command-spec.ts';
import { pausedTunnels, pauseFor, pauseWait, routeFiles, yesNo } from '../kinds.ts';
import { ROUTE_KEYS } from '../route-settings.ts';
import { onOff, optional, setting, short } from '../settings.ts';
import { EVERYWHERE, REDIS } from './common-settings.ts';

export const ROUTES = command({
  name: 'route',
  summary: 'lists, shows, sets and deletes settings of routes, pauses and restarts them',
  usage: [
    'list [--json] | get NAME [--json] | set NAME key=value... | delete NAME | restart NAME   [--redis URL]',
    'pause NAME [--for D] [--wait D] [--tunnels wait|ignore] | resume NAME   [--redis URL]',
    'apply -f FILE [--dry-run] [--prune] | export   [--redis URL]',
  ],
  about: `A route is the name of one application. Its settings are the same at every node, and a change takes effect at once:\n${routeKeysHelp()}`,
  settings: {
    redis: REDIS,
    pauseForMs: setting('for', pauseFor, 60_000, 'pause: how long the route stays paused if nobody resumes it before'),
    pauseWaitMs: setting(
      'wait',
      pauseWait,
      30_000,
      'pause: how long to wait until nothing is in flight; then the command ends with 3, and the route stays paused',
    ),
    pausedTunnels: setting('tunnels', pausedTunnels, 'wait', 'pause: whether to wait for the end of WebSockets and TCP connections, too'),
    json: onOff('json', yesNo, 'list and get: print JSON, an object of settings or of routes with theirs'),
    file: short(
      'f',
      optional(
        'file',
        routeFiles,
        "apply: file with routes, or directory with *.yaml, as a node's --routes has them; their settings become what stands there",
      ),
    ),
    dryRun: onOff('dry-run', yesNo, 'apply: say what would change, and set nothing'),
    prune: onOff('prune', yesNo, 'apply: delete the routes that are not in the file'),
    ...EVERYWHERE,
  },
  tail: 'none',
  operands: true,
  routes: false,
  examples: [
    ['pullproxy route set app.example.com maxInstances=20 holdTimeout=10s', 'adds to what is set already'],
    ['pullproxy route set "*.example.com" minInstances=1', 'one application for all hosts below example.com'],
    ['pullproxy route get app.example.com', 'all settings, defaults included'],
    [
      'pullproxy route pause app.example.com --for 2m',
      'holds all clients, and returns when nothing is in flight: for a migration of its database',
    ],
    ['pullproxy route resume app.example.com', 'they get slots as these come free'],
    ['pullproxy route export > routes.yaml', 'all routes with their settings, for version control'],
    ['pullproxy route apply -f routes.yaml --dry-run', 'what would change'],
    ['pullproxy route restart app.example.com', 'every instance is replaced by a new one, which takes over when it is ready'],
  ],
});

function routeKeysHelp(): string {
  return Object.entries(ROUTE_KEYS)
    .map(([name, { kind, help }]) => `  ${name}: ${help} (${kind.expected})`)
    .join('\n');
}
