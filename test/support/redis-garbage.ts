/**
 * Values that somebody else may write into Redis: keys of other types, entries that are none, messages and jobs that nobody sent. Over all keys and
 * channels that pullproxy and BullMQ use.
 */
import type { Redis } from 'ioredis';
import { routeKeys, routeKeyTypes } from '../../src/cluster/redis/keys.ts';

export const ROUTE = 'app.example.com';

type Transaction = ReturnType<Redis['multi']>;

export type Write = (client: Redis) => Promise<unknown>;
/** One kind of wrong thing, and the writes that put it there, one after the other. */
type Row = readonly [string, Write | readonly Write[]];

/** Values that stand where others should. */
const LONG = 'x'.repeat(1_000_000);
const NUMBERS = ['NaN', 'Infinity', '-Infinity', '-1', '1e308', '99999999999999999999', '0.5', '', 'x', '0x10', LONG];
const NAMES = ['', 'a{b}', '__proto__', 'constructor', 'x/;e touch F #', '--privileged', '\u001b[31m', 'a..b', 'a b', LONG];
const JSONS = ['', '{', 'null', '5', '[]', '"x"', '{}', '{"__proto__":{"t":1}}', '{"constructor":5}', '[[[[', LONG];
const SCORES = ['inf', '-inf', '1e308', '-1'];

const PARTS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(routeKeys(ROUTE).map((key, at) => [key.slice(key.lastIndexOf(':') + 1), routeKeyTypes[at] ?? ''])),
  keys: 'zset',
  agents: 'hash',
  given: 'hash',
};

const KEYS: Readonly<Record<string, string>> = {
  'pp:nodes': 'zset',
  'pp:routes': 'hash',
  'pp:{pp:routes}:about': 'hash',
  'pp:{pp:routes}:versions': 'hash',
  'pp:{pp:routes}:pauses': 'hash',
  'pp:node:n1': 'hash',
  'pp:node:n1:routes': 'set',
  'pp:loss': 'string',
  'pp:aside': 'hash',
  'pp:events': 'stream',
  'pp:missing': 'hash',
  ...Object.fromEntries(Object.entries(PARTS).map(([part, type]) => [`pp:{${ROUTE}}:${part}`, type])),
};

const QUEUE = '{pp-bull}:startup:';
const QUEUE_KEYS: Readonly<Record<string, string>> = {
  wait: 'list',
  active: 'list',
  paused: 'list',
  delayed: 'zset',
  prioritized: 'zset',
  failed: 'zset',
  completed: 'zset',
  events: 'stream',
  meta: 'hash',
  id: 'string',
  pc: 'string',
  limiter: 'string',
  stalled: 'set',
  'stalled-check': 'string',
  marker: 'zset',
  [`de:${ROUTE}`]: 'string',
  pace: 'hash',
  'pace-linked': 'zset',
  'pace-failed': 'zset',
  'pace-fixed': 'string',
};

const OF_TYPE: Readonly<Record<string, (transaction: Transaction, key: string) => unknown>> = {
  string: (transaction, key) => transaction.set(key, 'garbage'),
  hash: (transaction, key) => transaction.hset(key, 'garbage', 'garbage'),
  zset: (transaction, key) => transaction.zadd(key, 1, 'garbage'),
  set: (transaction, key) => transaction.sadd(key, 'garbage'),
  list: (transaction, key) => transaction.rpush(key, 'garbage'),
  stream: (transaction, key) => transaction.xadd(key, '*', 'garbage', 'garbage'),
};

/** A key as each type that is not its own, one after the other. */
function ofOtherTypes(key: string, type: string): Row {
  const writes = Object.entries(OF_TYPE)
    .filter(([other]) => other !== type)
    .map(
      ([, make]): Write =>
        async (client) => {
          // Nobody makes it anew in between.
          const transaction = client.multi().del(key);
          make(transaction, key);
          await transaction.exec();
        },
    );
  return [`${key} of other types`, writes];
}

/** Nobody has put a key in order that is not used here. */
async function freeFor(client: Redis, key: string, type: string): Promise<void> {
  if (![type, 'none'].includes(await client.type(key))) await client.del(key);
}

function fields(key: string, names: readonly string[], values: readonly string[]): Row {
  return [
    `${key}: fields such as ${names.find((name) => name !== '')}`,
    async (client) => {
      await freeFor(client, key, 'hash');
      for (const name of names) for (const value of values) await client.hset(key, name, value);
    },
  ];
}

function entriesOfRoute(): Row[] {
  const part = (name: string): string => `pp:{${ROUTE}}:${name}`;
  const hashes = Object.keys(PARTS).filter((name) => PARTS[name] === 'hash');
  const zsets = Object.keys(PARTS).filter((name) => PARTS[name] === 'zset');
  const meta = ['concurrency', 'counted', 'ready', 'slots', 'warming', 'newest', 'begun', 'wanted', 'wantedUntil', 'restartSeq'];
  const fails = ['restartUntil', 'failures', 'failure', 'failedAt', 'pauses', 'retryAt', 'silentSince', 'sparedUntil'];
  const info = { id: 'ghost', seq: 1, concurrency: 2, active: 0, node: 'ghost', state: 'ready' };
  const instances = [
    info,
    { ...info, concurrency: 1e308 },
    { ...info, concurrency: '5' },
    { ...info, seq: null },
    { ...info, node: {} },
    { ...info, state: 'later', since: [] },
  ].map((one) => JSON.stringify(one));
  return [
    ...hashes.flatMap((name) => [fields(part(name), ['n1', 'ghost'], NUMBERS), fields(part(name), NAMES, ['1', 'NaN'])]),
    ...zsets.map(
      (name): Row => [
        `${part(name)}: members and scores`,
        async (client) => {
          await freeFor(client, part(name), 'zset');
          for (const member of ['n1', 'n1:x', 'ghost', 'ghost:1', 'abc:1', ...NAMES]) {
            for (const score of SCORES) await client.zadd(part(name), score, member);
          }
        },
      ],
    ),
    fields(part('meta'), [...meta, ...fails], NUMBERS),
    fields(part('instances'), ['ghost', 'n1', '__proto__'], [...JSONS, ...instances]),
    fields(part('free'), ['ghost'], ['999999999']),
    fields(part('agents'), ['ghost', 'n1', '__proto__'], [...JSONS, '{"node":"n1","room":1e308,"at":1}', 'n1 5 9e99']),
    fields(part('given'), ['ghost', '__proto__'], [...JSONS, 'ghost', 'n1 taken']),
    fields(part('meta'), ['pace', 'lines', 'class', 'paused', 'restarting'], NUMBERS),
    fields(part('peers'), ['n1', 'ghost'], ['', 'nowhere', '127.0.0.1:99999', '\r\n', '$(id):1']),
  ];
}

const GLOBAL: Row[] = [
  [
    'pp:nodes: members and scores',
    async (client) =>
      void (await Promise.all(
        [...NAMES, 'ghost', 'n1:routes'].flatMap((name) => SCORES.map((score) => client.zadd('pp:nodes', score, name))),
      )),
  ],
  fields('pp:routes', NAMES, ['{}', '{"minInstances":1}']),
  fields('pp:routes', ['bad.example.com'], JSONS),
  fields('pp:routes', ['bad.example.com'], ['{"maxHeld":1e308}', '{"minInstances":"NaN"}', '{"command":{}}', '{"later":1}']),
  fields(
    'pp:node:n1',
    ['address', 'version', 'started', 'held', 'active', 'links', 'draining', 'holds', 'coldStarts'],
    [...NUMBERS, ...JSONS],
  ),
  ['pp:node:n1:routes: members', (client) => client.sadd('pp:node:n1:routes', ...NAMES)],
  ['pp:loss: for ever', (client) => client.set('pp:loss', '1', 'PX', 86_400_000)],
  fields('pp:aside', NAMES, JSONS),
  fields('pp:missing', ['ghost', ...NAMES], JSONS),
  fields('pp:{pp:routes}:about', ['cluster', 'version'], NUMBERS),
  fields('pp:{pp:routes}:versions', [`settings ${ROUTE}`, `pauses ${ROUTE}`, 'settings x', ...NAMES], [...NUMBERS, '5 x', '-5 -']),
  fields('pp:{pp:routes}:pauses', ['ghost.example.com', ...NAMES], [...JSONS, '{"until":1e308}', '{"until":"x","since":null}']),
  [
    'pp:events: entries',
    async (client) => {
      for (const text of JSONS) await client.xadd('pp:events', '*', 'event', text, 'garbage', text);
    },
  ],
];

const CHANNELS: Row[] = ['pp:node:n1', 'pp:demand', 'pp:routes'].map((channel) => [
  `what is rung at ${channel}`,
  async (client) => {
    const wants = ['want', 'coming', 'look', 'leave?', 'demand', 5, null, '__proto__'].flatMap((t) => [
      { t },
      { t, route: 'x', count: 1 },
      { t, route: ROUTE, count: 1e308, asker: { id: 'n2', address: 'x' }, from: 5 },
      { t, route: ROUTE, count: -1, asker: null, from: 'n2' },
      { t, route: 'a{b}', count: 1, asker: { id: 'n2', address: '127.0.0.1:1' }, from: 'n2' },
      { t, route: ROUTE, count: 3, asker: { id: 'n2', address: '127.0.0.1:1' }, from: 'n2' },
    ]);
    const demands = [
      { route: ROUTE, node: 'n2', oldest: null, saidAt: null },
      { route: 'a{b}', node: 'n2', oldest: 1, saidAt: 2 },
      { route: ROUTE, node: {}, oldest: 1, saidAt: 9e15 },
      { route: ROUTE, node: 'n2', oldest: -1e308, saidAt: 1e308 },
      { route: { toString: 1 }, node: 'n2', oldest: 1, saidAt: 2 },
    ];
    for (const message of [...JSONS, ...[...wants, ...demands].map((one) => JSON.stringify(one))]) await client.publish(channel, message);
  },
]);

/** Jobs as somebody else's program adds them, past our own checks. */
const JOBS: Row[] = [
  ['', '{', 'null', '5', '[]', '{}', LONG].map((data) => ['start', data]),
  NAMES.map((route) => ['start', JSON.stringify({ route, force: 0, startIds: [] })]),
  [
    ['start', JSON.stringify({ route: ROUTE, force: 'x', startIds: ['--privileged', '$(id)', 5, null], wantedIds: 5 })],
    ['start', JSON.stringify({ route: ROUTE, force: 1e308, startIds: 'abc', runs: [{ output: 5 }, null, 'x'] })],
    ['start', JSON.stringify({ route: ROUTE, force: 0, startIds: [], runs: 7, defaults: { holdTimeoutMs: 'x', maxInstances: 1e308 } })],
    ['stop', JSON.stringify({ route: ROUTE, force: 0, startIds: [], leaver: { instance: '--all', startId: '; id' } })],
    ['stop', JSON.stringify({ route: ROUTE, force: 0, startIds: [], leaver: 5 })],
    ['later', JSON.stringify({ route: ROUTE, force: 0, startIds: [] })],
    ['__proto__', JSON.stringify({ route: ROUTE })],
  ],
]
  .flat()
  .map(
    ([name = '', data = '']): Row => [
      `a job ${name} with ${data.slice(0, 60)}`,
      async (client) => {
        const id = `foreign-${Math.random().toString(36).slice(2)}`;
        await client.hset(`${QUEUE}${id}`, { name, data, opts: '{"attempts":3}', timestamp: Date.now(), delay: 0, priority: 0 });
        await client.lpush(`${QUEUE}wait`, id);
        await client.zadd(`${QUEUE}marker`, 0, '0');
      },
    ],
  );

const QUEUE_WRITES: Row[] = [
  ...Object.entries(QUEUE_KEYS).map(([part, type]) => ofOtherTypes(`${QUEUE}${part}`, type)),
  [
    `${QUEUE}: numbers`,
    async (client) => void (await Promise.all(['id', 'pc', 'limiter', 'stalled-check'].map((part) => client.set(`${QUEUE}${part}`, 'x')))),
  ],
  [
    `${QUEUE}delayed: scores`,
    async (client) => void (await Promise.all(SCORES.map((score, at) => client.zadd(`${QUEUE}delayed`, score, `nobody-${at}`)))),
  ],
  [
    'jobs that are listed and of another type',
    async (client) => {
      await client.set(`${QUEUE}odd`, 'x');
      await client.lpush(`${QUEUE}wait`, 'odd', 'nobody', '__proto__', '');
      await client.zadd(`${QUEUE}marker`, 0, '0');
    },
  ],
];

/** Tables of rows: a name, and writes that are made one after the other. */
export const GARBAGE: readonly (readonly [string, (readonly [string, readonly Write[]])[]])[] = (
  [
    ['keys', Object.entries(KEYS).map(([key, type]) => ofOtherTypes(key, type))],
    ["entries of a route's keys", entriesOfRoute()],
    ["entries of the cluster's keys", GLOBAL],
    ['messages', CHANNELS],
    ['the queue', QUEUE_WRITES],
    ['jobs', JOBS],
  ] as const
).map(([name, rows]) => [name, rows.map(([row, writes]) => [row, [writes].flat()] as const)] as const);
