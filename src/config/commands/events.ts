import { command } from '../command-spec.ts';
import { duration, filePath, redisUrls, routeName, yesNo } from '../kinds.ts';
import { onOff, optional, setting } from '../settings.ts';
import { DEFAULT_REDIS } from './common-settings.ts';

export const EVENTS = command({
  name: 'events',
  summary: 'shows what happened in the cluster',
  usage: ['[--follow] [--since DURATION] [--route NAME] [--json] [--redis URL]'],
  about:
    'Prints the event log of the cluster, oldest first: nodes and scalers that started, left or stopped beating, linkers that were refused or are gone, starts that failed, changes of Redis. Redis keeps about the last 5,000 events.',
  settings: {
    redis: setting('redis', redisUrls, DEFAULT_REDIS, 'the Redis of the cluster'),
    follow: onOff('follow', yesNo, 'go on, and print what happens from now on, until Ctrl-C'),
    sinceMs: setting('since', duration(1), 24 * 3_600_000, 'how far back to begin'),
    route: optional('route', routeName, 'only events of this route'),
    json: onOff('json', yesNo, 'print one JSON object a line'),
    config: optional('config', filePath, 'YAML file with these settings; a flag or an environment variable beats it'),
  },
  tail: 'none',
  operands: false,
  routes: false,
  examples: [
    ['pullproxy events --since 10m', 'what happened in the last ten minutes'],
    ['pullproxy events --follow --json', 'for scripts'],
  ],
});
