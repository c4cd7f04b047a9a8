import { command } from '../command-spec.ts';
import { drainDelay, filePath, redisUrls } from '../kinds.ts';
import { optional, setting } from '../settings.ts';
import { DEFAULT_REDIS } from './common-settings.ts';

export const DRAIN = command({
  name: 'drain',
  summary: 'takes a node out of service',
  usage: ['NODE [--delay DURATION] [--redis URL]'],
  about:
    'Asks the node to leave: it serves on for the delay while its /readyz says 503, then takes nobody in, answers those who are there, and ends. Returns when the node has been asked. Ends with 1 when no such node listens.',
  settings: {
    redis: setting('redis', redisUrls, DEFAULT_REDIS, 'the Redis of the cluster'),
    delayMs: optional('delay', drainDelay, 'how long the node serves on before; without it what its --drain-delay says'),
    config: optional('config', filePath, 'YAML file with these settings; a flag or an environment variable beats it'),
  },
  tail: 'none',
  operands: true,
  routes: false,
  examples: [['pullproxy drain proxy1 --delay 5s', 'five seconds for the load balancer to notice']],
});
