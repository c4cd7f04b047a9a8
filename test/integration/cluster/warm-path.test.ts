/** The warm path asks nothing of Redis: what nodes say to it is seen by Redis itself, command by command. */
import { createHash } from 'node:crypto';
import { Agent } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { BEAT_MS } from '../../../src/cluster/limits.ts';
import { SCRIPTS } from '../../../src/cluster/redis/scripts.ts';
import { ask } from '../../support/clients.ts';
import { type ClusterNode, startLinker, startNode } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const APP = `require('node:http').createServer((_, answer) => answer.end('ok')).listen(Number(process.env.PORT), '127.0.0.1')`;
const HOST = 'warm.test';
const REQUESTS = 2_000;
const CLIENTS = 5;
/** That an instance has more than clients need: one that is not idle yet when its client asks again is no reason to ask Redis for another. */
const SLOTS = 20;
/** What nodes say because time passes, each at most once in a beat: that they live, what they have at a route, a sign of life at the bell, the configured routes. */
const TIMED = [
  'beatNode',
  'hget pp:node:ID',
  'hset pp:node:ID',
  'pexpire pp:node:ID',
  'pexpire pp:node:ID:routes',
  'beat',
  'ping ',
  'declarations',
  'mget pp:{warm.test}:revision',
  'history',
];
const NAMES = new Map(Object.entries(SCRIPTS).map(([name, { lua }]) => [hashOf(lua), name]));

let redis: RedisServer;
let observer: Redis;
let monitor: Redis;
let nodes: readonly [ClusterNode, ClusterNode];
/** Every command so far, by its kind, and when Redis got it, in seconds; what scripts do themselves left out. */
const seen: { readonly kind: string; readonly at: number }[] = [];

beforeAll(async () => {
  redis = await startRedis();
  observer = new Redis(redis.url);
  // Nobody may say a word while it begins: ioredis takes what is seen at once for replies. Its own first words are over then.
  await observer.ping();
  monitor = await observer.monitor();
  monitor.on('monitor', (at: string, [command = '', first = '']: string[], source: string) => {
    if (source === 'lua') return;
    seen.push({ kind: kindOf(command.toLowerCase(), first), at: Number(at) });
  });
  nodes = [await startNode(redis.url), await startNode(redis.url)];
  const app = [process.execPath, '-e', APP];
  await startLinker({ proxies: [nodes[0].backend], route: HOST, concurrency: SLOTS, app });
});
afterAll(async () => {
  monitor?.disconnect();
  observer?.disconnect();
  await redis?.stop();
});

/** A script's name, or a command and its key. */
function kindOf(command: string, first: string): string {
  // The first time, Redis is told the whole script, which MONITOR shows escaped.
  if (command === 'eval') return NAMES.get(hashOf(first.replace(/\\(.)/g, (_, letter) => (letter === 'n' ? '\n' : letter)))) ?? command;
  if (command === 'evalsha') return NAMES.get(first) ?? command;
  return `${command} ${first.replace(/^pp:node:[^:]+/, 'pp:node:ID')}`;
}

function hashOf(lua: string): string {
  return createHash('sha1').update(lua).digest('hex');
}

/** The commands that Redis got while `work` ran: all of them, since they come in order. */
async function commandsDuring(work: () => Promise<unknown>): Promise<typeof seen> {
  const marker = async (name: string): Promise<number> => {
    await observer.call('echo', name);
    await eventually(`the monitor has seen ${name}`, () => seen.some(({ kind }) => kind === `echo ${name}`));
    return seen.findIndex(({ kind }) => kind === `echo ${name}`);
  };
  const id = String(seen.length);
  const from = await marker(`from ${id}`);
  await work();
  return seen.slice(from + 1, await marker(`to ${id}`));
}

/** Clients that keep their connections ask by turns. */
async function send(node: ClusterNode, count: number, clients = CLIENTS): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  let left = count;
  const client = async (): Promise<void> => {
    while (left-- > 0) expect((await ask(node.url, { host: HOST, agent })).status).toBe(200);
  };
  await Promise.all(Array.from({ length: clients }, client));
  agent.destroy();
}

function kinds(commands: typeof seen): string[] {
  return [...new Set(commands.map(({ kind }) => kind))].sort();
}

/** Returns when what went before is over for Redis, too: both nodes beat, and nothing else is said. */
async function quiet(): Promise<void> {
  const beats = (): number => seen.filter(({ kind }) => kind === 'beatNode').length;
  await eventually('nothing is said but beats', async () => {
    const until = beats() + 2 * nodes.length;
    const said = await commandsDuring(() => eventually('both nodes have beaten twice', () => beats() >= until));
    return kinds(said).every((kind) => TIMED.includes(kind));
  });
}

/** Nothing but what the time that passed explains; `seconds` by Redis' clock, in which both nodes say each thing once a beat. */
function expectOnlyBeats(commands: typeof seen): void {
  expect(kinds(commands).filter((kind) => !TIMED.includes(kind))).toEqual([]);
  const seconds = commands.length === 0 ? 0 : (commands.at(-1)?.at ?? 0) - (commands[0]?.at ?? 0);
  const most = nodes.length * ((seconds * 1_000) / BEAT_MS + 2);
  for (const kind of TIMED) expect(commands.filter((one) => one.kind === kind).length).toBeLessThanOrEqual(most);
}

test('2,000 requests that find a slot at their node cost no command of Redis', async () => {
  await send(nodes[0], 100);
  await quiet();
  expectOnlyBeats(await commandsDuring(() => send(nodes[0], REQUESTS)));
});

test('a client at the other node does cost some, once: from then on its slots are there', async () => {
  const first = await commandsDuring(() => send(nodes[1], 200, 2 * CLIENTS));
  expect(kinds(first)).toContain('hold');
  // The script tells the node whose slots are wanted.
  expect(kinds(first)).not.toContain('publish pp:node:ID');
  await quiet();
  expectOnlyBeats(await commandsDuring(() => send(nodes[1], REQUESTS)));
});
