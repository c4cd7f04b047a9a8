import { describe, expect, test } from '@jest/globals';
import { look } from '../../../src/cli/commands/inspect.ts';
import { inspectionText } from '../../../src/cli/terminal/inspect-text.ts';
import type { Dump, Stored } from '../../../src/cluster/redis/inspect/dump.ts';
import { findInconsistencies } from '../../../src/cluster/redis/inspect/findings.ts';
import { meaningOf } from '../../../src/cluster/redis/inspect/meaning.ts';
import { agentsKey, givenKey, lossKey, nodeKey, nodeRoutesKey, nodesKey, routeKeys, routesKey } from '../../../src/cluster/redis/keys.ts';

const NOW = 1_700_000_000_000;
const ROUTE = 'pp:{app.example.com}';

function stored(type: string, entries: Readonly<Record<string, string | number>>, expiresInMs: number | null = 60_000): Stored {
  return {
    type,
    expiresInMs,
    size: Object.keys(entries).length,
    entries: new Map(Object.entries(entries).map(([key, value]) => [key, String(value)])),
  };
}

const ready = (changes: object = {}) =>
  JSON.stringify({ id: 'i1', seq: 1, node: 'a', state: 'ready', concurrency: 10, active: 3, ...changes });

/** Two nodes, one of which holds two clients, one of them promised a slot; one instance with three free slots. */
const SOUND: Readonly<Record<string, Stored>> = {
  [nodesKey]: stored('zset', { a: NOW - 400, b: NOW - 900 }, null),
  [nodeKey('a')]: stored('hash', { address: '10.0.0.1:9080' }),
  [nodeKey('b')]: stored('hash', { address: '10.0.0.2:9080' }),
  [nodeRoutesKey('a')]: stored('set', { 'app.example.com': '' }),
  [routesKey]: stored('hash', { 'app.example.com': '{"maxInstances":3}' }, null),
  [`${ROUTE}:nodes`]: stored('zset', { a: NOW - 400 }),
  [`${ROUTE}:peers`]: stored('hash', { a: '10.0.0.1:9080' }),
  [`${ROUTE}:held`]: stored('zset', { 'a:1': NOW - 5_000 }),
  [`${ROUTE}:holders`]: stored('hash', { a: 1 }),
  [`${ROUTE}:promised`]: stored('zset', { 'a:1': NOW + 100 }),
  [`${ROUTE}:free`]: stored('hash', { a: 3 }),
  [`${ROUTE}:instances`]: stored('hash', { i1: ready() }),
  [`${ROUTE}:starting`]: stored('zset', { s1: NOW + 30_000 }),
  '{pp-bull}:startup:active': stored('list', { 7: '' }, null),
  '{pp-bull}:startup:7': stored('hash', {}, null),
  '{pp-bull}:startup:7:lock': stored('string', { token: '' }),
  '{pp-bull}:startup:de:app.example.com': stored('string', { 7: '' }, null),
};

function dump(changes: Readonly<Record<string, Stored | null>> = {}, info: Readonly<Record<string, string>> = {}): Dump {
  const keys = Object.entries({ ...SOUND, ...changes }).filter((entry): entry is [string, Stored] => entry[1] !== null);
  return { now: NOW, keys: new Map(keys), info: new Map(Object.entries(info)) };
}

const found = (...args: Parameters<typeof dump>) =>
  findInconsistencies(dump(...args)).map(({ severity, key, what }) => `${severity} ${key}: ${what}`);

test('every key of the directory has a meaning, and only those', () => {
  for (const key of [
    nodesKey,
    routesKey,
    lossKey,
    nodeKey('a'),
    nodeRoutesKey('a'),
    ...routeKeys('app.example.com'),
    agentsKey('r'),
    givenKey('r'),
  ]) {
    expect([key, meaningOf(key)?.what]).toEqual([key, expect.stringMatching(/^.{10,}/)]);
  }
  expect(meaningOf('pp:{app.example.com}:colour')).toBeNull();
  expect(meaningOf('pp:other')).toBeNull();
});

test('the buckets of the history take one line, whatever their number', () => {
  const buckets = Array.from({ length: 120 }, (_, i): [string, Stored] => [`pp:{pp:history}:${56_000_000 + i}`, stored('hash', { x: 1 })]);
  const dump: Dump = { now: NOW, keys: new Map([...Object.entries(SOUND), ...buckets]), info: new Map() };
  const text = inspectionText({ dump, findings: findInconsistencies(dump), route: null }, 200);
  expect(text.split('\n').filter((line) => line.includes('history'))).toEqual([
    expect.stringMatching(/^ {2}pp:\{pp:history\}:56000119 +hash .*what nodes have counted within half a minute/),
    '  and 119 older buckets of the history',
  ]);
  expect(text).toContain('Nothing contradicts itself.');
});

describe('what contradicts itself', () => {
  test('is nothing in a sound directory', () => {
    expect(found()).toEqual([]);
  });

  test('is nothing where a key was made since the last renewal', () => {
    expect(found({ [`${ROUTE}:held`]: stored('zset', { 'a:1': NOW - 5_000 }, null) })).toEqual([]);
  });

  test.each<[string, Readonly<Record<string, Stored | null>>, string[]]>([
    ['a key of nobody', { 'pp:colour': stored('string', { red: '' }, null) }, ['odd pp:colour: this version does not know this key']],
    ['a wrong type', { [`${ROUTE}:free`]: stored('list', {}) }, [`broken ${ROUTE}:free: it is a list and should be a hash`]],
    [
      'a key for ever',
      { [`${ROUTE}:starting`]: stored('zset', { s1: NOW + 30_000 }, null) },
      [`odd ${ROUTE}:starting: it never expires, although it should`],
    ],
    [
      'a node that died and that nobody buried',
      { [nodesKey]: stored('zset', { a: NOW - 400, b: NOW - 9_000 }, null) },
      ['odd pp:nodes: node b is listed and has not said that it lives for 9 s'],
    ],
    ['a node without a word', { [nodeKey('b')]: null }, ['odd pp:node:b: node b is listed, and its own key is missing']],
    ['a node that is not listed', { [nodesKey]: stored('zset', { a: NOW }, null) }, ['odd pp:node:b: node b is not listed in pp:nodes']],
    [
      'two nodes at one address',
      { [nodeKey('b')]: stored('hash', { address: '10.0.0.1:9080' }) },
      ['broken pp:node:b: nodes a and b both say that they are reached at 10.0.0.1:9080'],
    ],
    [
      'an address that nobody else reaches',
      { [nodeKey('b')]: stored('hash', { address: '127.0.0.1:9080' }) },
      ['broken pp:node:b: node b says that it is reached at 127.0.0.1:9080, and other nodes are on other machines'],
    ],
    [
      'something at a route that nobody would clean up',
      { [nodeRoutesKey('a')]: null },
      ['broken pp:node:a:routes: node a has entries at app.example.com, and its list of routes does not have that route'],
    ],
    [
      'bad settings',
      { [routesKey]: stored('hash', { 'app.example.com': '{"maxHeld":"x"}', other: 'x' }, null) },
      [
        expect.stringMatching(
          /^broken pp:routes: the settings of app\.example\.com are invalid: maxHeld "x": expected/,
        ) as unknown as string,
        'broken pp:routes: the settings of other are invalid: not JSON: x',
      ],
    ],
    [
      'a count of clients that is wrong',
      { [`${ROUTE}:holders`]: stored('hash', { a: 5 }) },
      [`broken ${ROUTE}:holders: node a holds 1 client here, and 5 are counted`],
    ],
    [
      'a promise to nobody',
      { [`${ROUTE}:promised`]: stored('zset', { 'a:1': NOW + 100, 'a:2': NOW + 100 }) },
      [`broken ${ROUTE}:promised: a:2 is promised a slot and not held`],
    ],
    [
      'a client that waits beside free slots',
      { [`${ROUTE}:promised`]: null },
      [`broken ${ROUTE}:held: 1 client held although 3 slots free`],
    ],
    [
      'slots of a node that is gone',
      { [`${ROUTE}:free`]: stored('hash', { a: 1, gone: 2 }) },
      [`odd ${ROUTE}:free: 2 of node gone, which has not been heard here lately`],
    ],
    [
      'more free slots than slots',
      { [`${ROUTE}:free`]: stored('hash', { a: 11 }) },
      [`odd ${ROUTE}:free: 11 slots free, and ready instances have 10 in all`],
    ],
    [
      'an instance at a node that is gone',
      { [`${ROUTE}:instances`]: stored('hash', { i1: ready({ node: 'gone' }) }) },
      [`odd ${ROUTE}:instances: instance i1 is at home at node gone, which has not been heard here lately`],
    ],
    [
      'an instance that is none',
      { [`${ROUTE}:instances`]: stored('hash', { i1: ready(), i2: 'x' }) },
      [`broken ${ROUTE}:instances: instance i2 has an invalid description: x`],
    ],
    [
      'a start that nobody gave up',
      { [`${ROUTE}:starting`]: stored('zset', { s1: NOW - 5_000 }) },
      [`odd ${ROUTE}:starting: start s1 should have expired`],
    ],
    [
      'a node whose address is lost',
      { [`${ROUTE}:peers`]: null },
      [`broken ${ROUTE}:peers: the address of node a is missing: no slot can be moved to it`],
    ],
    [
      'orders that are merged with a job that is gone',
      { '{pp-bull}:startup:de:app.example.com': stored('string', { 6: '' }, null) },
      [
        'broken {pp-bull}:startup:de:app.example.com: orders for app.example.com are merged with job 6, which does not exist: nothing is started for it',
      ],
    ],
    [
      'a job that no scaler runs',
      { '{pp-bull}:startup:7:lock': null },
      ['odd {pp-bull}:startup:active: job 7 has begun, and no scaler runs it'],
    ],
    [
      'a paused queue',
      { '{pp-bull}:startup:meta': stored('hash', { paused: 1 }, null) },
      ['broken {pp-bull}:startup:meta: the queue is paused: nothing is started'],
    ],
    [
      'a listed job that is gone',
      { '{pp-bull}:startup:failed': stored('zset', { 3: NOW }, null) },
      ['odd {pp-bull}:startup:failed: job 3 is listed and does not exist'],
    ],
  ])('%s', (_, changes, expected) => {
    expect(found(changes)).toEqual(expected);
  });

  test('a Redis that forgets, or that takes no writes', () => {
    expect(found({}, { maxmemory_policy: 'allkeys-lru', maxmemory: '1000000' })).toEqual([
      'broken maxmemory-policy: Redis may drop keys when its memory is full: allkeys-lru',
    ]);
    expect(found({}, { maxmemory_policy: 'allkeys-lru', maxmemory: '0' })).toEqual([]);
    expect(found({}, { role: 'slave' })).toEqual(['broken role: this Redis is a replica: it takes no writes']);
  });

  test('is said only when a second look finds it again, whatever the numbers are by then', async () => {
    const wrong = (count: number) => dump({ [`${ROUTE}:holders`]: stored('hash', { a: count }) });
    const twice = (...dumps: Dump[]) => look({ read: async () => dumps.shift() ?? dump() }, 0);
    expect((await twice(wrong(5), wrong(6))).findings).toHaveLength(1);
    expect((await twice(wrong(5), dump())).findings).toEqual([]);
    expect((await twice(dump(), wrong(5))).findings).toEqual([]);
  });
});

describe('the text', () => {
  const wrong = dump({ [`${ROUTE}:promised`]: null });

  test('explains the keys of all, in short, and says last what is wrong', () => {
    const text = inspectionText({ dump: wrong, findings: findInconsistencies(wrong), route: null }, 200);
    expect(text).toMatch(/^ {2}pp:nodes +zset +2 +never +all nodes, and the last beat of each$/m);
    expect(text).toMatch(/^ {2}ROUTE +HELD +PROMISED +FREE +INSTANCES +STARTING +NODES\n {2}app\.example\.com +1 +0 +3 +1 +1 +1$/m);
    expect(text).toMatch(/^ {2}free +hash +idle slots at each node that are not promised$/m);
    expect(text.split('\n').slice(-2)[0]).toBe(`✗ ${ROUTE}:held: 1 client held although 3 slots free`);
  });

  test('shows one route in full, moments as what they mean', () => {
    const text = inspectionText({ dump: dump(), findings: [], route: 'app.example.com' }, 200);
    expect(text).toContain('app.example.com: settings {"maxInstances":3}');
    expect(text).toContain(`${ROUTE}:held  zset of 1, in 60 s\n  clients that wait, NODE:HOLD, by arrival\n    a:1  5 s ago\n`);
    expect(text).toContain('    s1  in 30 s\n');
    expect(text).toMatch(/Nothing contradicts itself\.$/);
  });

  test.each([60, 80])('fits a terminal of %d columns', (width) => {
    for (const route of [null, 'app.example.com']) {
      const lines = inspectionText({ dump: wrong, findings: findInconsistencies(wrong), route }, width).split('\n');
      expect(lines.filter((line) => line.length > width)).toEqual([]);
    }
  });
});
