import type { RedisFacts } from '../../cluster/redis/look-over.ts';
import { type Check, checksOf } from './check.ts';

/** ZMSCORE, which scripts use, came with it. */
const LEAST_VERSION = [6, 2] as const;
const CLOCK_TOLERANCE_MS = 1_000;

const { ok, warning, error } = checksOf('redis');

export function redisChecks({ info, saves, refused, clockAheadMs, uncertaintyMs }: RedisFacts): Check[] {
  return [
    versionCheck(info.get('redis_version')),
    persistenceCheck(info.get('aof_enabled'), saves),
    evictionCheck(info.get('maxmemory'), info.get('maxmemory_policy')),
    ...(info.get('role') === 'slave' ? [error('this Redis is a replica: it takes no writes', 'Name its master in --redis.')] : []),
    refused.size === 0
      ? ok('pullproxy has the rights that it needs')
      : error(
          `Redis refuses ${[...refused].map(([command, why]) => `${command} (${why})`).join(', ')}`,
          'Where rights are missing, give its user those of deploy/redis.acl; where memory is, raise maxmemory.',
        ),
    Math.abs(clockAheadMs) - uncertaintyMs > CLOCK_TOLERANCE_MS
      ? warning(
          `the clock of Redis is ${(Math.abs(clockAheadMs) / 1_000).toFixed(1)} s ${clockAheadMs > 0 ? 'ahead of' : 'behind'} the one of this machine`,
          'Let both follow NTP: times in the event log and the ages of certificates are wrong otherwise.',
        )
      : ok('the clocks agree'),
  ];
}

function versionCheck(version: string | undefined): Check {
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number);
  if (version === undefined) return warning('the version of Redis is not known', `It has to be ${LEAST_VERSION.join('.')} or later.`);
  const isOld = major < LEAST_VERSION[0] || (major === LEAST_VERSION[0] && minor < LEAST_VERSION[1]);
  return isOld ? error(`Redis ${version}`, `pullproxy needs ${LEAST_VERSION.join('.')} or later.`) : ok(`Redis ${version}`);
}

function persistenceCheck(aof: string | undefined, saves: boolean | null): Check {
  if (aof === '1') return ok('Redis persists: appendonly');
  const advice = 'Turn on appendonly yes, or give nodes a --state-dir: the settings of routes have to survive a restart of Redis.';
  if (saves === false) return warning('Redis persists nothing', advice);
  return saves
    ? ok('Redis persists: snapshots (a restart may lose the latest minutes; appendonly yes loses a second)')
    : warning('appendonly is off, and this user may not ask whether Redis writes snapshots', advice);
}

function evictionCheck(maxmemory: string | undefined, policy = 'noeviction'): Check {
  if (policy === 'noeviction') return ok('Redis evicts no keys');
  if (maxmemory === '0') return ok(`Redis evicts no keys while it has no maxmemory (maxmemory-policy ${policy})`);
  return error(
    `Redis evicts keys when it is full: maxmemory-policy ${policy}`,
    'Set maxmemory-policy noeviction: a Redis that refuses is noticed, one that forgets is not.',
  );
}
