/** What is done to the cluster. Each fault says when it began and when it was over, so that failures can be laid at its door. */
import { setTimeout as delay } from 'node:timers/promises';
import type { FaultName } from './fault-names.ts';
import type { Fault, World } from './world.ts';

/** All that chance decides of a fault: a seed gives the same ones in the same order, whatever becomes of the cluster meanwhile. */
export interface Blow {
  readonly name: FaultName;
  /** In [0, 1): which node, linker or scaler it hits. */
  readonly target: number;
  /** For how long. */
  readonly ms: number;
  /** Until the next one. */
  readonly pauseMs: number;
}

/** Does it, and undoes it; resolves when all is as before. */
export async function inflict(world: World, { name, target, ms }: Blow): Promise<void> {
  const i = Math.floor(target * world.nodes.length);
  const fault = world.begin(name, name.endsWith('a node') ? i : null);
  try {
    if (name.endsWith('a node')) await hurtNode(world, fault, i, ms);
    else if (name.endsWith('a linker')) await hurtLinker(world, name, target, ms);
    else if (name.endsWith('a scaler')) await hurtScaler(world, name, target, ms);
    else await hurtRedis(world, name, ms);
  } finally {
    fault.over = performance.now();
    fault.until = Math.min(fault.until, fault.over);
  }
}

async function hurtNode(world: World, fault: Fault, i: number, ms: number): Promise<void> {
  const node = world.nodes[i];
  const child = node?.child;
  if (node === undefined || child === null || child === undefined) return;
  switch (fault.what) {
    case 'freeze a node':
      child.kill('SIGSTOP');
      await delay(ms);
      child.kill('SIGCONT');
      return;
    case 'half-open links of a node':
      node.backend.silence();
      await delay(ms);
      node.backend.heal();
      return;
    default: {
      await world.end(child, fault.what === 'kill -9 a node' ? 'SIGKILL' : 'SIGTERM');
      fault.until = performance.now();
      node.child = null;
      await delay(ms / 4);
      await world.startNode(node);
    }
  }
}

async function hurtLinker(world: World, name: FaultName, target: number, ms: number): Promise<void> {
  const linkers = world.traces.linkers();
  const linker = linkers[Math.floor(target * linkers.length)];
  if (linker === undefined) return;
  if (name === 'kill -9 a linker') world.traces.killLinker(linker);
  else if (name === 'drain a linker') world.traces.signal(linker.pid, 'SIGTERM');
  else {
    world.traces.signal(linker.pid, 'SIGSTOP');
    await delay(ms);
    world.traces.signal(linker.pid, 'SIGCONT');
  }
}

async function hurtScaler(world: World, name: FaultName, target: number, ms: number): Promise<void> {
  const i = Math.floor(target * world.scalers.length);
  const child = world.scalers[i];
  if (child === null || child === undefined) return;
  if (name === 'freeze a scaler') {
    child.kill('SIGSTOP');
    await delay(ms);
    child.kill('SIGCONT');
    return;
  }
  world.scalers[i] = null;
  await world.end(child, name === 'kill -9 a scaler' ? 'SIGKILL' : 'SIGTERM');
  await delay(ms / 2);
  await world.startScaler(i);
}

async function hurtRedis(world: World, name: FaultName, ms: number): Promise<void> {
  const { redis, redisPath } = world;
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
    case 'pause clients of Redis':
      await world.redisCommand('CLIENT', 'PAUSE', String(Math.round(ms)), 'ALL');
      await delay(ms);
      return;
    case 'slow Redis':
      redisPath.delayMs = 50;
      await delay(ms);
      redisPath.delayMs = 0;
      return;
    case 'silent way to Redis':
      redisPath.silence();
      await delay(ms);
      redisPath.heal();
      return;
    case 'lose messages of Redis':
      redisPath.losesMessages = true;
      await delay(ms);
      redisPath.losesMessages = false;
      return;
    case 'full Redis':
      await world.redisCommand('CONFIG', 'SET', 'maxmemory', '1');
      await delay(ms);
      await world.redisCommand('CONFIG', 'SET', 'maxmemory', '0');
      return;
    default:
      await world.redisCommand('CLIENT', 'KILL', 'TYPE', Math.floor(ms) % 2 === 0 ? 'normal' : 'pubsub');
  }
}
