/** Writes into Redis what is not meant for it, under the names of other routes than the honest ones. */
import { Redis } from 'ioredis';
import { DIRECTORY } from '../../../fuzz/targets/directory.ts';
import { Tenant } from '../place.ts';
import { type Besieger, type Field, inputOf } from './besieger.ts';

const PARTS = ['nodes', 'peers', 'held', 'holders', 'promised', 'free', 'serving', 'instances', 'starting', 'begun', 'jobs', 'meta'];
const VALUES = [
  '',
  '{',
  '[]',
  'null',
  '-1',
  '1e999',
  'NaN',
  '9'.repeat(400),
  '{"id":1}',
  '\u001b[2J',
  '{"toString":1}',
  'x'.repeat(10_000),
];
const NAMES = ['', 'a{b}', 'x/;e touch F #', 'a b', '__proto__', '*', '..', 'x---', `${'y'.repeat(300)}.test`, '\u0000', 'new.test'];

export function redisWriters({ ports, random }: Field): Besieger[] {
  const redis = new Redis({ port: ports.redis, host: '127.0.0.1' });
  redis.on('error', () => {});
  const evil = (): string => random.pick([Tenant.EVIL, Tenant.EVIL_HTTP2, 'none.test']);
  const key = (): string => `pp:{${evil()}}:${random.pick(PARTS)}`;
  const quietly = async (...words: readonly (string | number)[]): Promise<void> => {
    await redis.call(String(words[0]), ...words.slice(1)).catch(() => undefined);
  };
  return [
    {
      name: 'keys of wrong types',
      perSecond: 2,
      atOnceMax: 5,
      strike: async () => {
        const name = key();
        await quietly('del', name);
        await quietly(
          ...random.pick([
            ['set', name, 'x'],
            ['rpush', name, 'a', 'b'],
            ['sadd', name, 'a'],
            ['hset', name, 'a', 'b'],
            ['zadd', name, 1, 'a'],
          ] as const),
        );
        // The next writer finds an end of it.
        await quietly('pexpire', name, 3_000);
      },
    },
    {
      name: 'values of wrong kinds',
      perSecond: 5,
      atOnceMax: 5,
      strike: async () => {
        const name = key();
        await quietly('hset', name, random.pick([...NAMES, ...ports.nodes]), random.pick(VALUES));
        await quietly('zadd', name, random.pick(['inf', '-inf', '0', '1e300']), random.pick([...NAMES, `${ports.nodes[0]}:zz`]));
      },
    },
    {
      name: 'routes that are none',
      perSecond: 2,
      atOnceMax: 3,
      strike: async () => {
        const name = random.pick(NAMES);
        await quietly(
          'hset',
          'pp:routes',
          name,
          random.pick([...VALUES, '{"minInstances":1}', '{"holdTimeout":"-1s"}', '{"command":["touch","F"]}']),
        );
        await quietly('publish', 'pp:routes', name);
        if (random.next() < 0.5) await quietly('hdel', 'pp:routes', random.pick(NAMES));
      },
    },
    {
      name: 'nodes that are none',
      perSecond: 1,
      atOnceMax: 3,
      strike: async () => {
        const name = random.pick([...NAMES, 'ghost']);
        await quietly('zadd', 'pp:nodes', random.pick(['0', String(Date.now()), 'inf', '-1']), name);
        await quietly('hset', `pp:node:${name}`, 'address', random.pick(VALUES), 'held', random.pick(VALUES));
        await quietly('sadd', `pp:node:${name}:routes`, random.pick(NAMES), evil());
        await quietly('pexpire', `pp:node:${name}`, 5_000);
        if (random.next() < 0.7) await quietly('zrem', 'pp:nodes', name);
      },
    },
    {
      name: 'messages of any kind',
      perSecond: 8,
      atOnceMax: 5,
      strike: async () => {
        const said = inputOf(DIRECTORY, random).toString('latin1');
        if (said.includes('leave')) return;
        const message = said.replaceAll('app.test', evil()).replaceAll('held.test', evil());
        const channel = random.pick(['pp:demand', 'pp:routes', ...ports.nodes.map((node) => `pp:node:${node}`)]);
        await quietly('publish', channel, /^message \S+ (.*)/.exec(message)?.[1] ?? message);
      },
    },
  ];
}
