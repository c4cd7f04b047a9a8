/** What is done to the cluster. Each fault says when it began and when it was over, so that failures can be laid at its door. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from './random.ts';
import { signal, type World } from './world.ts';

/** How long after its end a fault may still be felt: connections that died with it are found dead within seconds. */
export const AFTERMATH_MS = 6_000;

export type FaultName =
  | 'kill -9 a node'
  | 'restart a node'
  | 'freeze a node'
  | 'kill -9 a linker'
  | 'drain a linker'
  | 'freeze a linker'
  | 'kill -9 a scaler'
  | 'restart a scaler'
  | 'freeze Redis'
  | 'restart Redis empty'
  | 'empty Redis'
  | 'break connections to Redis';

/** Those that may break a request: a process that serves it dies or stands still. Every other fault may cost nothing. */
const HARMFUL: ReadonlySet<string> = new Set<FaultName>(['kill -9 a node', 'freeze a node', 'kill -9 a linker', 'freeze a linker']);

export function isHarmful(what: string): boolean {
  return HARMFUL.has(what);
}

export const WEIGHTS: Readonly<Record<FaultName, number>> = {
  'kill -9 a node': 3,
  'restart a node': 3,
  'freeze a node': 1,
  'kill -9 a linker': 4,
  'drain a linker': 4,
  'freeze a linker': 1,
  'kill -9 a scaler': 2,
  'restart a scaler': 1,
  'freeze Redis': 1,
  'restart Redis empty': 1,
  'empty Redis': 1,
  'break connections to Redis': 2,
};

/** Does it, and undoes it; resolves when all is as before. */
export async function inflict(world: World, name: FaultName, random: Random): Promise<void> {
  const i = Math.floor(random.between(0, world.nodes.length));
  const ms = random.between(500, 5_000);
  const fault = world.begin(name, name.endsWith('a node') ? i : null);
  try {
    if (name.endsWith('a node')) await hurtNode(world, name, i, ms);
    else if (name.endsWith('a linker')) await hurtLinker(world, name, random, ms);
    else if (name.endsWith('a scaler')) await hurtScaler(world, name, random, ms);
    else await hurtRedis(world, name, ms);
  } finally {
    fault.until = performance.now();
  }
}

async function hurtNode(world: World, name: FaultName, i: number, ms: number): Promise<void> {
  const node = world.nodes[i];
  const child = node?.child;
  if (node === undefined || child === null || child === undefined) return;
  if (name === 'freeze a node') {
    child.kill('SIGSTOP');
    await delay(ms);
    child.kill('SIGCONT');
    return;
  }
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(name === 'kill -9 a node' ? 'SIGKILL' : 'SIGTERM');
  await ended;
  node.child = null;
  await delay(ms / 4);
  await world.startNode(node);
}

async function hurtLinker(world: World, name: FaultName, random: Random, ms: number): Promise<void> {
  const linkers = world.linkers();
  if (linkers.length === 0) return;
  const linker = random.pick(linkers);
  if (name === 'kill -9 a linker') world.killLinker(linker);
  else if (name === 'drain a linker') signal(linker.pid, 'SIGTERM');
  else {
    signal(linker.pid, 'SIGSTOP');
    await delay(ms);
    signal(linker.pid, 'SIGCONT');
  }
}

async function hurtScaler(world: World, name: FaultName, random: Random, ms: number): Promise<void> {
  const i = random.next() < 0.5 ? 0 : 1;
  const child = world.scalers[i];
  if (child === null || child === undefined) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  world.scalers[i] = null;
  child.kill(name === 'kill -9 a scaler' ? 'SIGKILL' : 'SIGTERM');
  await ended;
  await delay(ms / 2);
  await world.startScaler(i);
}

async function hurtRedis(world: World, name: FaultName, ms: number): Promise<void> {
  const { redis } = world;
  switch (name) {
    case 'freeze Redis':
      await redis.pause();
      await delay(ms);
      await redis.resume();
      return;
    case 'restart Redis empty':
      await redis.kill();
      await delay(ms);
      await redis.restart();
      await world.configureAgain();
      return;
    case 'empty Redis':
      await world.redisCommand('FLUSHALL');
      await world.configureAgain();
      return;
    default:
      await world.redisCommand('CLIENT', 'KILL', 'TYPE', Math.floor(ms) % 2 === 0 ? 'normal' : 'pubsub');
  }
}
