import { command } from '../command-spec.ts';
import { ROUTE_KEYS } from '../route-settings.ts';
import { EVERYWHERE, REDIS } from './common-settings.ts';

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

function routeKeysHelp(): string {
  return Object.entries(ROUTE_KEYS)
    .map(([name, { kind, help }]) => `  ${name}: ${help} (${kind.expected})`)
    .join('\n');
}
