import { command } from '../command-spec.ts';
import { listenAddress, redisUrls, text, yesNo } from '../kinds.ts';
import { onOff, optional, secret, setting } from '../settings.ts';
import { DEFAULT_REDIS, EVERYWHERE } from './common-settings.ts';

export const RELOAD = command({
  name: 'reload',
  summary: 'makes a node read its configuration anew',
  usage: ['NODE [--redis URL]', '--admin HOST:PORT [--admin-token TOKEN] [--json]'],
  about:
    'The node reads its configuration file, routes, certificates, secrets and the file of the access log anew, as with SIGHUP: all of it, or nothing when something is wrong. No connection is cut. Says which settings have changed, and which count only after a restart. Ends with 1 when nothing was changed because something is wrong. With NODE the node is asked through Redis, with --admin at its admin port. NODE may be any worker of a node with --workers: all of them reload.',
  settings: {
    redis: setting('redis', redisUrls, DEFAULT_REDIS, 'the Redis of the cluster'),
    admin: optional('admin', listenAddress, "the node's admin port; then Redis is not asked"),
    adminToken: secret(
      'admin-token',
      text('TOKEN', 'at least one visible character', /^[\x21-\x7e]+$/),
      'the token of the admin port; set it in the environment, because others can see a flag',
    ),
    json: onOff('json', yesNo, 'with --admin: print JSON, in the form of POST /api/v1/reload'),
    ...EVERYWHERE,
  },
  tail: 'none',
  operands: true,
  routes: false,
  examples: [
    ['pullproxy reload proxy1', 'through Redis'],
    ['pullproxy reload --admin 127.0.0.1:9090', 'at the node itself'],
  ],
  check: ({ json, admin }) => (json && admin === undefined ? ['--json true: expected --admin with it'] : []),
});
