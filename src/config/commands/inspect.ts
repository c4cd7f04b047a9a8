import { command } from '../command-spec.ts';
import { filePath, redisUrls, yesNo } from '../kinds.ts';
import { onOff, optional, setting } from '../settings.ts';
import { DEFAULT_REDIS } from './common-settings.ts';

export const INSPECT = command({
  name: 'inspect',
  summary: 'explains the content of Redis, and finds contradictions in it',
  usage: ['[ROUTE] [--redis URL] [--json]'],
  about:
    "Reads every key of pullproxy's in Redis, changes none, says what each is for, and looks for contradictions: nodes that are gone, counts that do not add up, clients that wait although slots are free, a queue that starts nothing. With ROUTE it shows the entries of that route. Exits with 1 when something is broken.",
  settings: {
    redis: setting('redis', redisUrls, DEFAULT_REDIS, 'the Redis to look into'),
    json: onOff('json', yesNo, 'print JSON'),
    config: optional('config', filePath, 'YAML file with these settings; a flag or an environment variable beats it'),
  },
  tail: 'none',
  operands: true,
  routes: false,
  examples: [
    ['pullproxy inspect', 'all keys, and what is wrong with them'],
    ['pullproxy inspect app.example.com', 'the entries of one route'],
  ],
});
