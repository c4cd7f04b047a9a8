import { describe, expect, test } from '@jest/globals';
import { readLabels } from '../../../src/discovery/labels.ts';
import { ConfigError } from '../../../src/errors.ts';

function problemsOf(labels: Record<string, unknown>): readonly string[] {
  try {
    readLabels(labels);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe('labels of a container', () => {
  test('say its route and its instance, and others mean nothing', () => {
    expect(
      readLabels({
        'pullproxy.route': 'Web.Example.com',
        'pullproxy.port': '80',
        'pullproxy.concurrency': '4',
        'pullproxy.idleTimeout': '15m',
        'pullproxy.hold-timeout': '1m',
        'pullproxy.match': 'a.example.com,b.example.com/x',
        'com.docker.compose.project': 'home',
      }),
    ).toEqual({
      route: 'web.example.com',
      record: { concurrency: '4', holdTimeout: '1m', match: 'a.example.com,b.example.com/x' },
      instance: { port: 80, concurrency: 4, idleTimeoutMs: 900_000 },
    });
  });

  test('of the start count for the instance and for its route', () => {
    const { record, instance } = readLabels({ 'pullproxy.route': 'a', 'pullproxy.startTimeout': '3m' });
    expect([record, instance]).toEqual([{ startTimeout: '3m' }, { concurrency: 10, startTimeoutMs: 180_000 }]);
  });

  test.each(['auto', 'auto:2-8', '0'])('with the limit %s say no number that the route could expect', (concurrency) => {
    expect(readLabels({ 'pullproxy.route': 'a', 'pullproxy.concurrency': concurrency }).record).toEqual({});
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['no route', {}, /^pullproxy\.route "": expected a host name/],
    ['an empty route', { 'pullproxy.route': '' }, /^pullproxy\.route "": expected a host name/],
    ['a route with a space', { 'pullproxy.route': 'a b' }, /^pullproxy\.route "a b": expected/],
    ['a route with a path', { 'pullproxy.route': '../../etc' }, /^pullproxy\.route/],
    ['a route with line breaks', { 'pullproxy.route': 'a\r\nX: y' }, /^pullproxy\.route "a\\r\\nX: y"/],
    ['a key of a route', { 'pullproxy.route': 'a~b' }, /^pullproxy\.route/],
    ['a route of 300 characters', { 'pullproxy.route': 'a'.repeat(300) }, /^pullproxy\.route/],
    ['a route that is no text', { 'pullproxy.route': 7 }, /^pullproxy\.route 7/],
    ['port 0', { 'pullproxy.port': '0' }, /^pullproxy\.port "0": expected a whole number from 1 to 65535/],
    ['a port beyond all', { 'pullproxy.port': '65536' }, /^pullproxy\.port/],
    ['a port with a protocol', { 'pullproxy.port': '80/udp' }, /^pullproxy\.port/],
    ['no number', { 'pullproxy.concurrency': '-1' }, /^pullproxy\.concurrency "-1"/],
    ['a duration without a unit', { 'pullproxy.idleTimeout': '30' }, /^pullproxy\.idleTimeout "30": expected a duration/],
    ['a bad setting of the route', { 'pullproxy.holdTimeout': 'long' }, /^pullproxy\.holdTimeout "long": expected a duration/],
    ['a path with a line break', { 'pullproxy.readyPath': '/a\r\nHost: b' }, /^pullproxy\.readyPath/],
    ['an unknown label', { 'pullproxy.ports': '80' }, /^pullproxy\.ports "80": expected one of the labels route, port,/],
    ['a name of every object', { 'pullproxy.__proto__': 'x' }, /^pullproxy\.__proto__ "x": expected one of the labels/],
    ['a method of every object', { 'pullproxy.constructor': 'x' }, /^pullproxy\.constructor/],
    ['a command', { 'pullproxy.command': '["rm","-rf","/"]' }, /^pullproxy\.command .*: expected none: the container itself/],
    ['a stop command', { 'pullproxy.stopCommand': '["sh"]' }, /^pullproxy\.stopCommand/],
    ['a key', { 'pullproxy.key': 'host' }, /^pullproxy\.key "host": expected none/],
    ['a check of keys, which is a command', { 'pullproxy.keyCheck': '["sh"]' }, /^pullproxy\.keyCheck/],
    ['another source', { 'pullproxy.source': 'docker@other' }, /^pullproxy\.source/],
    ['one label twice', { 'pullproxy.hold-timeout': '1s', 'pullproxy.holdTimeout': '2s' }, /expected one spelling of the same label/],
    ['a value without end', { 'pullproxy.match': 'a'.repeat(10_000) }, /expected at most 4096 characters$/],
    [
      'labels without end',
      Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`pullproxy.a${i}`, 'x'])),
      /expected at most 64 labels/,
    ],
    [
      'settings that contradict',
      { 'pullproxy.minInstances': '2', 'pullproxy.maxInstances': '1' },
      /^pullproxy\.minInstances 2: expected at most/,
    ],
  ])('with %s are refused in words', (_, labels, words) => {
    const problems = problemsOf({ 'pullproxy.route': 'a', ...(_ === 'no route' ? { 'pullproxy.route': undefined } : {}), ...labels });
    expect(problems.length).toBeGreaterThan(0);
    expect(
      problems.some((problem) => words.test(problem.replace('pullproxy.route undefined', 'pullproxy.route "": expected a host name'))),
    ).toBe(true);
    for (const problem of problems) expect(problem.length).toBeLessThan(2_000);
  });

  test('are refused with all that is wrong at once', () => {
    expect(problemsOf({ 'pullproxy.route': 'a b', 'pullproxy.port': 'x', 'pullproxy.holdTimeout': 'y', 'pullproxy.z': '' })).toHaveLength(
      4,
    );
  });
});
