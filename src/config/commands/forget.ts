import { command } from '../command-spec.ts';
import { filePath, redisUrls } from '../kinds.ts';
import { optional, setting } from '../settings.ts';
import { DEFAULT_REDIS } from './common-settings.ts';

export const FORGET = command({
  name: 'forget',
  summary: 'says that a missing node does not come back',
  usage: ['NODE [--redis URL]'],
  about:
    'A node that stopped beating is shown as missing until it is back, or until somebody says that it does not come back. Ends with 1 when no such node is missing.',
  settings: {
    redis: setting('redis', redisUrls, DEFAULT_REDIS, 'the Redis of the cluster'),
    config: optional('config', filePath, 'YAML file with these settings; a flag or an environment variable beats it'),
  },
  tail: 'none',
  operands: true,
  routes: false,
  examples: [['pullproxy forget proxy3', 'its machine is gone for good']],
});
