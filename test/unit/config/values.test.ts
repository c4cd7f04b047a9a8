import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { addressRange, parseAddressRange } from '../../../src/config/address-range.ts';
import { formatDuration, parseDuration } from '../../../src/config/duration.ts';
import { formatHostPort, isLoopback, parseDialAddress, parseHostPort } from '../../../src/config/host-port.ts';
import { choice, duration, nodeId, problem, rate, redisUrls, size, startRate, whole } from '../../../src/config/kinds.ts';
import { formatListenUrl, parseListenUrl } from '../../../src/config/listen-url.ts';
import { isRouteName, validRouteName } from '../../../src/config/route-name.ts';
import { formatSize, parseSize } from '../../../src/config/size.ts';

describe('durations', () => {
  test.each([
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['0s', 0],
    [' 2s ', 2000],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(['', '30', 's', '-1s', '1.5s', '1d', '1h30m', '1 s', '1S', '1e3ms', '9999999999999s'])('"%s" is none', (text) => {
    expect(parseDuration(text)).toBeNull();
  });

  test('are written so that they are read back as the same', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 24 * 3_600_000 }), (ms) => parseDuration(formatDuration(ms)) === ms));
  });

  test('end where timers do', () => {
    expect(duration(1).read('24h')).toBe(86_400_000);
    expect(duration(1).read('25h')).toBeNull();
    expect(duration(1).read('0s')).toBeNull();
    expect(duration(0).read('0s')).toBe(0);
    expect(duration(0).read(30)).toBeNull();
  });
});

describe('sizes', () => {
  test.each([
    ['16384', 16_384],
    ['64KiB', 65_536],
    ['1GiB', 1024 ** 3],
    ['1 mib', 1024 ** 2],
    ['500MB', 500_000_000],
    ['7B', 7],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each(['', 'KiB', '-1', '1.5KiB', '1TiB', '99999999999999GiB'])('"%s" is none', (text) => {
    expect(parseSize(text)).toBeNull();
  });

  test('are written so that they are read back as the same', () => {
    fc.assert(fc.property(fc.nat(), (bytes) => parseSize(formatSize(bytes)) === bytes));
  });

  test('have a range, and may be numbers in a file', () => {
    expect(size(1024, 65_536).read(65_536)).toBe(65_536);
    expect(size(1024, 65_536).read('65537')).toBeNull();
    expect(size(1024, 65_536).read('1023')).toBeNull();
  });
});

describe('addresses', () => {
  test.each([
    ['127.0.0.1:0', '127.0.0.1', 0],
    ['[::1]:9080', '::1', 9080],
    ['proxy.example.com:65535', 'proxy.example.com', 65_535],
    ['my_service:80', 'my_service', 80],
  ])('%s', (text, host, port) => {
    expect(parseHostPort(text)).toEqual({ host, port });
    expect(formatHostPort({ host, port })).toBe(text);
  });

  test.each([
    '',
    'localhost',
    ':80',
    '::1:80',
    '[::1]',
    '[localhost]:1',
    'a:65536',
    'a:-1',
    'a:b',
    'a b:1',
    '300.1.1.1:80',
    '1.2.3:4',
    'http://a:1',
    'a:1/',
  ])('"%s" is none', (text) => {
    expect(parseHostPort(text)).toBeNull();
  });

  test('know which ones only this machine reaches', () => {
    expect(['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1'].map(isLoopback)).toEqual([true, true, true, true]);
    expect(['10.0.0.1', '128.0.0.1', '::', '::ffff:10.0.0.1', '127.0.0.1.example.com', ''].map(isLoopback)).not.toContain(true);
  });
});

describe('route names', () => {
  test.each([
    ['App.Example.COM.', 'app.example.com'],
    ['*', '*'],
    ['*.Example.com', '*.example.com'],
    ['database', 'database'],
    ['10.0.0.1', '10.0.0.1'],
    ['my_app', 'my_app'],
  ])('%s → %s', (written, name) => {
    expect(validRouteName(written)).toBe(name);
  });

  test.each([
    '',
    '.',
    '*.',
    '**',
    '*.*.a',
    'a.*.b',
    'a..b',
    '-a',
    'a-',
    'a b',
    'a/b',
    'a:80',
    '{a}',
    'ä',
    'a\n',
    'a'.repeat(64),
    `${'a.'.repeat(127)}a`,
    '[::1]',
  ])('"%s" is none', (written) => {
    expect(validRouteName(written)).toBeNull();
  });

  test('that come from elsewhere must be written in their canonical form', () => {
    expect(['app.example.com', '*', '*.example.com', 'my_app'].filter(isRouteName)).toHaveLength(4);
    const others = [
      'App.example.com',
      'app.example.com.',
      '--privileged.shop.test',
      'a..*.shop.test',
      '*.',
      '',
      7,
      null,
      ['a'],
      '__proto__.',
    ];
    expect(others.filter(isRouteName)).toEqual([]);
  });

  test('have at most 253 characters', () => {
    expect(validRouteName(`${'a.'.repeat(126)}a`)).toHaveLength(253);
    expect(validRouteName(`${'a.'.repeat(126)}ab`)).toBeNull();
  });
});

describe('addresses to dial', () => {
  test.each(['a.test:1', '[::1]:9080', '10.0.0.1:65535', `${'a.'.repeat(126)}a:65535`])('%s is one', (text) => {
    expect(parseDialAddress(text)).not.toBeNull();
  });

  test.each(['', 'a', 'a:0', ' a:1', 'a:1\n', 'a:99999', '300.1.1.1:1', 'a b:1', '{x}:1', `${'a'.repeat(60_000)}:1`, 'a/b:1'])(
    '"%s" is none',
    (text) => {
      expect(parseDialAddress(text)).toBeNull();
    },
  );
});

describe('listen URLs', () => {
  test.each(['http://0.0.0.0:8080', 'https://[::]:443', 'tls://127.0.0.1:0?proxy=v2', 'tcp://0.0.0.0:5432?route=database&proxy=v1'])(
    '%s',
    (url) => {
      const parsed = parseListenUrl(url);
      expect(parsed).not.toBeNull();
      expect(parsed && formatListenUrl(parsed)).toBe(url);
    },
  );

  test('say which route a TCP port belongs to', () => {
    expect(parseListenUrl('tcp://127.0.0.1:0?route=DB.')).toEqual({
      protocol: 'tcp',
      host: '127.0.0.1',
      port: 0,
      route: 'db',
      proxyProtocol: null,
    });
  });

  test.each([
    'http://0.0.0.0',
    '0.0.0.0:80',
    'ftp://a:1',
    'http://a:1/path',
    'http://u@a:1',
    'http://a:1?route=b',
    'http://a:1?x=1',
    'tcp://a:1',
    'tcp://a:1?route=',
    'tcp://a:1?route=b&route=c',
    'http://a:1?proxy=v3',
    'http://a:1?proxy=v1&proxy=v2',
    'http://a:1#f',
  ])('"%s" is none', (url) => {
    expect(parseListenUrl(url)).toBeNull();
  });
});

describe('ranges of addresses', () => {
  test.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['192.0.2.7', '192.0.2.7/32'],
    ['2001:db8::/32', '2001:db8::/32'],
    ['::1', '::1/128'],
    ['0.0.0.0/0', '0.0.0.0/0'],
  ])('%s', (written, text) => {
    const range = parseAddressRange(written);
    expect(range && addressRange.write(range)).toBe(text);
  });

  test.each(['', '10.0.0.0/33', '10.0.0/8', '::/129', '10.0.0.0/', 'localhost', '10.0.0.0/8/8', 'fe80::1%eth0'])(
    '"%s" is none',
    (written) => {
      expect(addressRange.read(written)).toBeNull();
    },
  );
});

describe('other kinds', () => {
  test('whole numbers have a range and no other forms', () => {
    const kind = whole(1, 10);
    expect([1, '10', ' 5 '].map(kind.read)).toEqual([1, 10, 5]);
    expect([0, 11, 1.5, '1.5', '0x1', '1e1', '', null, true, Number.NaN].map(kind.read)).toEqual(new Array(10).fill(null));
  });

  test('choices are exact', () => {
    expect(choice('each', 'total').read('each')).toBe('each');
    expect(choice('each', 'total').read('Each')).toBeNull();
  });

  test('rates', () => {
    expect(rate.read('10/1s')).toEqual({ count: 10, durationMs: 1000 });
    expect(rate.write({ count: 100, durationMs: 60_000 })).toBe('100/1m');
    expect(['auto', '10/1s', 'Auto', '0/1s'].map(startRate.read)).toEqual(['auto', { count: 10, durationMs: 1000 }, null, null]);
    expect([startRate.write('auto'), startRate.write({ count: 10, durationMs: 1000 })]).toEqual(['auto', '10/1s']);
    expect(['10', '0/1s', '10/0s', '/1s', '10/1', '1.5/1s'].map(rate.read)).toEqual(new Array(6).fill(null));
  });

  test('Redis URLs, also several for Redis Cluster', () => {
    for (const url of ['redis://127.0.0.1:6379', 'rediss://user:pass@redis.example.com/3', 'redis://a:1,redis://b:2', 'redis://[::1]:1']) {
      expect(redisUrls.read(url)).toBe(url);
    }
    expect(['', 'http://a', 'redis://', 'redis://a/b', 'redis://a,', 'a:6379'].map(redisUrls.read)).toEqual(new Array(6).fill(null));
  });

  test('a node id can stand in a key of the directory', () => {
    expect(nodeId.read('node-1.eu_west')).toBe('node-1.eu_west');
    expect(['a:b', 'a b', '', 'a'.repeat(65)].map(nodeId.read)).toEqual(new Array(4).fill(null));
  });
});

describe('a problem', () => {
  test('never shows the password in a URL', () => {
    expect(problem('--redis', 'redis://me:hunter2@', 'x')).toBe('--redis "redis://me:***@": expected x');
  });

  test('shortens long values', () => {
    expect(problem('--id', 'a'.repeat(100_000), 'x').length).toBeLessThan(300);
  });
});
