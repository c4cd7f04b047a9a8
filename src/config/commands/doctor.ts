import { command } from '../command-spec.ts';
import { filePath, redisUrls, yesNo } from '../kinds.ts';
import { onOff, optional } from '../settings.ts';

export const DOCTOR = command({
  name: 'doctor',
  summary: 'looks for what is wrong with this machine, Redis and the nodes',
  usage: ['[--redis URL] [--config FILE] [--json]'],
  about:
    'Looks at this machine (Node, open files, processors, shared memory), at Redis (version, persistence, eviction, rights, clock) and at the nodes in it (versions, whether this machine reaches their advertised addresses). With --config it also reads a configuration file of "pullproxy node" and looks at its ports, certificates and secrets. Each line is ok, a warning or an error, with what to do. It changes nothing, but for keys in Redis that it writes and deletes to try its rights. Ends with 0 when all is well, with 1 when something is an error, with 3 when there are only warnings, with 2 when its own command line is wrong.',
  settings: {
    redis: optional('redis', redisUrls, 'the Redis of the cluster; by default that of --config, or redis://127.0.0.1:6379'),
    config: optional('config', filePath, 'the YAML file of a node, which is checked'),
    json: onOff('json', yesNo, 'print JSON: a list of checks'),
  },
  tail: 'none',
  operands: false,
  routes: false,
  readsFile: false,
  examples: [
    ['pullproxy doctor --redis redis://redis.internal:6379', 'this machine, Redis and the nodes'],
    ['pullproxy doctor --config /etc/pullproxy/node.yaml', 'before a node is started'],
  ],
});
