import { describe, expect, test } from '@jest/globals';
import { parseRedisUrl, redisAddresses } from '../../../src/config/redis-url.ts';

describe('where Redis is', () => {
  test('one server is taken as it is', () => {
    const url = 'rediss://user:pass@redis.example.com/3';
    expect(parseRedisUrl(url)).toEqual({ kind: 'server', url, at: { host: 'redis.example.com', port: 6379 } });
    expect(parseRedisUrl(' redis://[::1]:1 ')).toMatchObject({ at: { host: '::1', port: 1 } });
  });

  test('several URLs are nodes of a Redis Cluster, with the access of the first', () => {
    expect(parseRedisUrl('rediss://me:p%40ss@a:1, rediss://b')).toEqual({
      kind: 'cluster',
      nodes: [
        { host: 'a', port: 1 },
        { host: 'b', port: 6379 },
      ],
      username: 'me',
      password: 'p@ss',
      tls: true,
    });
  });

  test('Sentinels are named with what they call the master', () => {
    expect(parseRedisUrl('redis-sentinel://s1,s2:5,[::1]:7/the-master/2')).toEqual({
      kind: 'sentinel',
      sentinels: [
        { host: 's1', port: 26_379 },
        { host: 's2', port: 5 },
        { host: '::1', port: 7 },
      ],
      name: 'the-master',
      database: 2,
      tls: false,
    });
    expect(parseRedisUrl('rediss-sentinel://me:a:b%25@s1/m')).toMatchObject({ username: 'me', password: 'a:b%', database: 0, tls: true });
    expect(parseRedisUrl('redis-sentinel://:100%@s1/m')).toMatchObject({ password: '100%' });
  });

  test.each([
    '',
    'http://a',
    'redis://',
    'redis://a/b',
    'redis://a,',
    'a:6379',
    'redis-sentinel://a',
    'redis-sentinel:///m',
    'redis-sentinel://a,/m',
    'redis-sentinel://a/m/x',
  ])('%j says nothing', (text) => {
    expect(parseRedisUrl(text)).toBeNull();
  });

  test('the addresses that are asked first', () => {
    const of = (url: string) => redisAddresses(parseRedisUrl(url) as NonNullable<ReturnType<typeof parseRedisUrl>>).map(({ host }) => host);
    expect([of('redis://a'), of('redis://a,redis://b'), of('redis-sentinel://a,b/m')]).toEqual([['a'], ['a', 'b'], ['a', 'b']]);
  });
});
