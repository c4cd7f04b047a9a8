import { describe, expect, test } from '@jest/globals';
import {
  canonicalRouteRecord,
  DEFAULT_ROUTE_SETTINGS,
  parseRouteSettings,
  writeRouteSettings,
} from '../../../src/config/route-settings.ts';
import { ConfigError } from '../../../src/errors.ts';

function problemsOf(record: Record<string, unknown>): readonly string[] {
  try {
    parseRouteSettings(record);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe('route settings', () => {
  test('nothing set gives the documented defaults, frozen', () => {
    const settings = parseRouteSettings({});
    expect(settings).toEqual({
      holdTimeoutMs: 30_000,
      maxHeld: 10_000,
      minInstances: 0,
      maxInstances: 10,
      startTimeoutMs: 60_000,
      stripPrefix: false,
      startMode: 'each',
      startIntervalMs: 0,
      balance: 'newest',
      protocol: 'http1',
      sleepStatus: 503,
      priorityWaitMs: 30_000,
      queueOrder: 'adaptive',
      trustClients: false,
      affinityWaitMs: 100,
      maxKeys: 100,
    });
    expect(settings).toEqual(DEFAULT_ROUTE_SETTINGS);
    expect(Object.isFrozen(settings)).toBe(true);
  });

  test('are read from numbers and from text', () => {
    expect(
      parseRouteSettings({
        holdTimeout: '5s',
        maxHeld: 7,
        minInstances: '1',
        startMode: 'total',
        balance: 'spread',
        protocol: 'tcp',
        concurrency: '4',
      }),
    ).toMatchObject({
      holdTimeoutMs: 5000,
      maxHeld: 7,
      minInstances: 1,
      startMode: 'total',
      balance: 'spread',
      protocol: 'tcp',
      concurrency: 4,
    });
  });

  test('what is missing comes from the defaults that are given', () => {
    expect(parseRouteSettings({ maxHeld: 1 }, { ...DEFAULT_ROUTE_SETTINGS, holdTimeoutMs: 1 })).toMatchObject({
      maxHeld: 1,
      holdTimeoutMs: 1,
    });
  });

  test('say all that is wrong at once: the key, the value and what was expected', () => {
    expect(problemsOf({ holdTimeout: 30, maxheld: 1, startMode: 'both', minInstances: -1 })).toEqual([
      'holdTimeout 30: expected a duration such as 250ms, 30s, 5m or 1h, from 1ms to 24h',
      expect.stringMatching(/^maxheld 1: expected one of the keys holdTimeout, coldHoldTimeout, /),
      'startMode "both": expected one of each, total',
      'minInstances -1: expected a whole number from 0 to 10000',
    ]);
  });

  test('refuse a minimum above the maximum', () => {
    expect(problemsOf({ minInstances: 11 })).toEqual(['minInstances 11: expected at most maxInstances, which is 10']);
    expect(problemsOf({ minInstances: 11, maxInstances: 11 })).toEqual([]);
  });

  test('refuse comments for clients of an application that speaks HTTP/2, which would get none', () => {
    const problem = 'holdComments "15s": expected none with protocol=h2c, whose clients can be sent holdSignal';
    expect(problemsOf({ holdComments: '15s', protocol: 'h2c' })).toEqual([problem]);
    expect(problemsOf({ holdComments: '15s' })).toEqual([]);
    expect(problemsOf({ holdSignal: '15s', protocol: 'h2c' })).toEqual([]);
  });

  test.each(['__proto__', 'constructor', 'toString'])('know no key %s', (name) => {
    expect(problemsOf(JSON.parse(`{"${name}": 1}`) as Record<string, unknown>)).toHaveLength(1);
  });

  test('are written the way they are read', () => {
    const settings = parseRouteSettings({ holdTimeout: '1500ms', concurrency: 3 });
    expect(writeRouteSettings(settings)).toMatchObject({ holdTimeout: '1500ms', startTimeout: '1m', concurrency: 3 });
    expect(parseRouteSettings(writeRouteSettings(settings))).toEqual(settings);
  });

  test('are stored without the defaults', () => {
    expect(canonicalRouteRecord({ maxHeld: '5', holdTimeout: '60s' })).toEqual({ holdTimeout: '1m', maxHeld: 5 });
  });
});
