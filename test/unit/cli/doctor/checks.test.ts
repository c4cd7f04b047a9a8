import { describe, expect, test } from '@jest/globals';
import { type Check, checksOf, exitCodeOf } from '../../../../src/cli/doctor/check.ts';
import { machineChecks } from '../../../../src/cli/doctor/machine.ts';
import { redisChecks } from '../../../../src/cli/doctor/redis.ts';
import type { RedisFacts } from '../../../../src/cluster/redis/look-over.ts';

const wrong = (checks: readonly Check[]): string[] =>
  checks.filter(({ state }) => state !== 'ok').map(({ state, text }) => `${state}: ${text}`);

describe('the doctor', () => {
  test.each([
    [
      { openFiles: 100, sharedBytes: null },
      ['error: at most 100 open files: a node or linker serves hardly anybody', 'warning: /dev/shm can not be read'],
    ],
    [
      { openFiles: 1_024, sharedBytes: 64 * 1_048_576 },
      ['warning: at most 1024 open files: a node has room for about 512 clients', 'warning: 64 MiB are free in /dev/shm'],
    ],
    [{ openFiles: 65_536, sharedBytes: 1e9 }, []],
    [{ openFiles: null, sharedBytes: 1e9 }, []],
  ])('looks at a machine: %j', (machine, found) => {
    expect(wrong(machineChecks({ node: '24.1.0', processors: 2, ...machine }))).toEqual(found);
  });

  test.each<[Record<string, string>, Partial<RedisFacts>, string[]]>([
    [{ redis_version: '7.2.4', aof_enabled: '1' }, {}, []],
    [{ redis_version: '6.0.16', aof_enabled: '1' }, {}, ['error: Redis 6.0.16']],
    [{ aof_enabled: '1' }, {}, ['warning: the version of Redis is not known']],
    [{ redis_version: '8.0.0', aof_enabled: '0' }, { saves: false }, ['warning: Redis persists nothing']],
    [{ redis_version: '8.0.0', aof_enabled: '0' }, { saves: true }, []],
    [
      { redis_version: '6.2.0', aof_enabled: '1', maxmemory: '1000', maxmemory_policy: 'allkeys-lru' },
      {},
      ['error: Redis evicts keys when it is full: maxmemory-policy allkeys-lru'],
    ],
    [{ redis_version: '6.2.0', aof_enabled: '1', maxmemory: '0', maxmemory_policy: 'allkeys-lru' }, {}, []],
    [{ redis_version: '6.2.0', aof_enabled: '1', role: 'slave' }, {}, ['error: this Redis is a replica: it takes no writes']],
    [
      { redis_version: '6.2.0', aof_enabled: '1' },
      { clockAheadMs: -90_000 },
      ['warning: the clock of Redis is 90.0 s behind the one of this machine'],
    ],
    [{ redis_version: '6.2.0', aof_enabled: '1' }, { clockAheadMs: 1_500, uncertaintyMs: 600 }, []],
  ])('looks at Redis: %j %j', (info, facts, found) => {
    const known = { saves: null, refused: new Map(), clockAheadMs: 0, uncertaintyMs: 1, ...facts };
    expect(wrong(redisChecks({ ...known, info: new Map(Object.entries(info)) }))).toEqual(found);
  });

  test('ends with 1 for an error, with 3 for warnings only', () => {
    const { ok, warning, error } = checksOf('machine');
    const of = (...checks: Check[]): number => exitCodeOf(checks);
    expect([of(ok('a')), of(ok('a'), warning('b', 'c')), of(warning('b', 'c'), error('d', 'e'))]).toEqual([0, 3, 1]);
  });
});
