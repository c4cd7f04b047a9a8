/** What is read from Redis is what it should be, or nothing. */
import { describe, expect, test } from '@jest/globals';
import { LeftOut } from '../../../src/cluster/left-out.ts';
import { readDemandNotice, readRing } from '../../../src/cluster/redis/messages.ts';
import {
  addressOf,
  countOf,
  instanceIdOf,
  nodeIdOf,
  objectOf,
  routeNameOf,
  startIdOf,
  textOf,
  timeOf,
} from '../../../src/cluster/values.ts';
import { readStartupJob } from '../../../src/scaling/job-data.ts';
import { recordedLog } from '../../support/recorded-log.ts';

const NOTHING = [null, undefined, '', {}, [], true, '\0', 'a b', 'x'.repeat(300), '\u001b[31m', Number.NaN, 'a{b}', 'a\nb'];

describe('one check for each kind of value', () => {
  test.each([
    [
      'a route',
      routeNameOf,
      ['app.example.com', '*', '*.example.com', 'db'],
      ['A.example.com', 'a..b', '--x.y', '*.*', 'a.', '-a', 'x/;e'],
    ],
    ['a node', nodeIdOf, ['n1', 'host-1a2b.3', 'N_1'], ['a:b', 'a/b', 'x'.repeat(73)]],
    ['an instance', instanceIdOf, ['abc123'], ['ABC', 'a-b', '--all', 'x'.repeat(65)]],
    ['a start', startIdOf, ['abc123', 'abc:2'], ['abc:', ':1', '$(id)', 'abc:1:2', 'a-b']],
    [
      'an address',
      addressOf,
      ['10.0.0.1:9080', '[::1]:1', 'n1.test:9080'],
      ['10.0.0.1', 'a:0', 'a:99999', ' a:1', '$(id):1', '256.1.1.1:1'],
    ],
  ])('%s', (_, read, good, bad) => {
    expect(good.map(read)).toEqual(good);
    expect([...bad, ...NOTHING].map(read).filter((value) => value !== null)).toEqual([]);
  });

  test('a count and a time', () => {
    expect([countOf(0), countOf('7'), countOf(1e9), timeOf(Number.MAX_SAFE_INTEGER)]).toEqual([0, 7, 1e9, Number.MAX_SAFE_INTEGER]);
    const bad = [
      -1,
      0.5,
      1e308,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      '1e3',
      '0x10',
      '-1',
      ' 1',
      '',
      '99999999999999999',
      null,
      {},
      [5],
      true,
    ];
    expect(bad.map((value) => countOf(value)).filter((value) => value !== null)).toEqual([]);
    expect([countOf(1e9 + 1), countOf(6, 5), timeOf(2 ** 53)]).toEqual([null, null, null]);
  });

  test('text is cut, and JSON is an object', () => {
    expect([textOf('abc', 2), textOf(5, 2)]).toEqual(['ab', '']);
    expect(['{', '5', 'null', '[]', '"x"', 5, null].map(objectOf)).toEqual([null, null, null, null, null, null, null]);
    expect(objectOf('{"a":1}')).toEqual({ a: 1 });
  });
});

describe('messages', () => {
  const want = { t: 'want', route: 'a.test', count: 1, asker: { id: 'b', address: 'b.test:1' } };

  test('are read as what they are', () => {
    expect(readRing(JSON.stringify({ ...want, later: 1 }))).toEqual(want);
    expect(readRing('{"t":"coming","route":"a.test","count":2,"from":"b"}')).toEqual({ t: 'coming', route: 'a.test', count: 2, from: 'b' });
    expect([readRing('{"t":"look","route":"a.test"}'), readRing('{"t":"leave"}')]).toEqual([
      { t: 'look', route: 'a.test' },
      { t: 'leave' },
    ]);
    expect(readRing('{"t":"leave","delayMs":500}')).toEqual({ t: 'leave', delayMs: 500 });
    for (const delayMs of [-1, 1.5, 1e12, 'null', '{}']) expect(readRing(`{"t":"leave","delayMs":${delayMs}}`)).toEqual({ t: 'leave' });
    const notice = { route: 'a.test', node: 'b', oldest: 5, saidAt: 6 };
    expect(readDemandNotice(JSON.stringify(notice))).toEqual(notice);
  });

  test.each([
    { t: 'want', route: 'x', count: 1 },
    { ...want, route: 'a{b}' },
    { ...want, count: 1e308 },
    { ...want, count: 0 },
    { ...want, asker: { id: 'b', address: 'nowhere' } },
    { ...want, asker: { id: 'b', address: `${'x'.repeat(60_000)}:1` } },
    { ...want, asker: [] },
    { ...want, t: 'later' },
    { ...want, t: '__proto__' },
    { t: 'coming', route: 'a.test', count: 1, from: {} },
    { t: 'look' },
    [],
    null,
  ])('%j is none', (message) => expect(readRing(JSON.stringify(message))).toBeNull());

  test.each([
    { route: 'a.test', node: 'b', oldest: 7, saidAt: 6 },
    { route: 'a.test', node: 'b', oldest: -1e308, saidAt: 1e308 },
    { route: 'a.test', node: 'b', oldest: null, saidAt: null },
    { route: '', node: 'b', oldest: 1, saidAt: 1 },
    { route: 'a.test', node: 5, oldest: 1, saidAt: 1 },
  ])('%j is no demand', (message) => expect(readDemandNotice(JSON.stringify(message))).toBeNull());
});

describe('a startup job', () => {
  const job = { route: 'a.test', force: 1, startIds: ['abc:1'] };

  test('is read as what it is, and runs that are none are left out', () => {
    const run = { startId: 'abc', count: 1, endedAt: 5, durationMs: 1, exitCode: null, failure: 'x', output: '' };
    const read = readStartupJob('start', { ...job, runs: [run, null, { ...run, startId: '; id' }], defaults: { maxInstances: 3 } });
    expect(read).toEqual({ ...job, wantedIds: [], runs: [run], defaults: { maxInstances: 3 } });
    const leaver = { instance: 'abc', startId: 'abc' };
    expect(readStartupJob('stop', { ...job, leaver })).toMatchObject({ leaver });
  });

  test.each([
    ['later', job],
    ['start', null],
    ['start', { ...job, route: 'a..b' }],
    ['start', { ...job, force: 1e308 }],
    ['start', { ...job, startIds: ['--privileged'] }],
    ['start', { ...job, startIds: 'abc' }],
    ['start', { ...job, wantedIds: [5] }],
    ['start', { ...job, defaults: { holdTimeoutMs: 'x' } }],
    ['start', { ...job, leaver: { instance: 'abc' } }],
    ['stop', job],
    ['stop', { ...job, leaver: { instance: '--all' } }],
    ['stop', { ...job, leaver: { instance: 'abc', startId: '$(id)' } }],
  ])('%s with %j is not followed', (name, data) => expect(readStartupJob(name, data)).toEqual(expect.any(String)));
});

test('what is left out is said once, and few lines in all', () => {
  const { log, lines } = recordedLog();
  let now = 0;
  const leftOut = new LeftOut(log, () => now);
  for (let i = 0; i < 100; i++) leftOut.note('pp:routes', 'a{b}');
  expect(lines.length).toBe(1);
  for (let i = 0; i < 5_000; i++) leftOut.note('pp:routes', `x${i}`);
  expect(lines.length).toBe(10);
  now = 60_000;
  leftOut.note('pp:routes', 'y'.repeat(1_000));
  expect(lines.at(-1)).toMatchObject({ where: 'pp:routes', found: `${'y'.repeat(100)}…`, notLogged: 4_991 });
});
