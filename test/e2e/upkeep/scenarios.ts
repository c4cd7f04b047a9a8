/** What operators do, and what happens to them, under steady load. Each scenario says what the clients have seen of it. */
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../support/eventually.ts';
import { type LoadReport, PacedLoad, percentile } from '../../support/paced-load.ts';
import { inflict } from '../chaos/faults.ts';
import { type NodeSlot, ROUTE, type World } from '../chaos/world.ts';

export interface UpkeepOptions {
  readonly perSecond: number;
  /** How long each thing may take its effect before the next one is done. */
  readonly pauseMs: number;
  readonly say?: (line: string) => void;
}

/** Every node and every linker ends on SIGTERM and is replaced, one after the other. */
export async function rollingRestart(world: World, options: UpkeepOptions): Promise<LoadReport & { restarts: number }> {
  const load = await warmLoad(world, options);
  const first = world.traces.linkers();
  let restarts = 0;
  for (const node of world.nodes) {
    options.say?.(`restarting ${node.id}; ${load.answered} answered`);
    await restart(world, node);
    restarts++;
    await delay(options.pauseMs);
  }
  for (const { pid, startId } of first) {
    options.say?.(`restarting linker ${startId}; ${load.answered} answered`);
    // One more instance first, as a rolling deployment would.
    world.traces.signal(pid, 'SIGHUP');
    world.traces.signal(pid, 'SIGTERM');
    await eventually('the linker has left', () => !world.traces.linkers().some((one) => one.pid === pid), 60_000);
    restarts++;
    await delay(options.pauseMs);
  }
  return { ...(await load.stop()), restarts };
}

/** One node of three is killed. Whoever had a connection there may lose it; nobody else may notice. */
export async function killOneNode(world: World, options: UpkeepOptions): Promise<LoadReport & { elsewhere: number }> {
  const load = await warmLoad(world, options);
  const victim = 1;
  const child = world.nodes[victim]?.child;
  if (child === null || child === undefined) throw new Error('there is no node to kill');
  await world.end(child, 'SIGKILL');
  // The others find out, clean up after it, and its linkers come to them.
  await delay(4_000 + options.pauseMs);
  await world.startNode(world.nodes[victim] as NodeSlot);
  await delay(options.pauseMs);
  const report = await load.stop();
  return { ...report, elsewhere: report.failures.filter(({ node }) => node !== victim).length };
}

export interface AwayReport extends LoadReport {
  /** Median of the answers' times before, and while Redis is away. */
  readonly p50BeforeMs: number;
  readonly p50AwayMs: number;
  /** How long after Redis was back the client was answered that had come meanwhile, to an application that did not run. */
  readonly coldAnsweredMs: number;
  readonly coldStatus: number;
}

export const COLD_ROUTE = 'cold.test';

/** Redis is frozen, or killed and comes back empty. */
export async function redisAway(world: World, awayMs: number, how: 'frozen' | 'killed', options: UpkeepOptions): Promise<AwayReport> {
  await world.configure(COLD_ROUTE);
  const load = await warmLoad(world, options);
  load.takeTimes();
  await delay(options.pauseMs);
  const p50BeforeMs = percentile(load.takeTimes(), 50);
  options.say?.('Redis goes away');
  if (how === 'frozen') await world.redis.pause();
  else await world.redis.kill();
  const cold = delay(awayMs / 2).then(() => askOnce(world, COLD_ROUTE));
  await delay(awayMs);
  const p50AwayMs = percentile(load.takeTimes(), 50);
  options.say?.('Redis comes back');
  if (how === 'frozen') await world.redis.resume();
  else {
    await world.redis.restart();
    await Promise.all([world.configureAgain(), world.configure(COLD_ROUTE)]);
  }
  const backAt = performance.now();
  const { status, at } = await cold;
  await delay(options.pauseMs);
  return { ...(await load.stop()), p50BeforeMs, p50AwayMs, coldStatus: status, coldAnsweredMs: Math.round(at - backAt) };
}

const TROUBLES = [
  'slow Redis',
  'pause clients of Redis',
  'break connections to Redis',
  'lose messages of Redis',
  'silent way to Redis',
  'full Redis',
  'empty Redis',
] as const;

export interface TroublesReport extends LoadReport {
  /** Median of the answers' times in ms, in each trouble, and before all of them. */
  readonly p50: Readonly<Record<string, number>>;
}

/** One trouble with Redis after the other, each for `troubleMs`. */
export async function redisTroubles(world: World, troubleMs: number, options: UpkeepOptions): Promise<TroublesReport> {
  const load = await warmLoad(world, options);
  load.takeTimes();
  await delay(options.pauseMs);
  const p50: Record<string, number> = { before: percentile(load.takeTimes(), 50) };
  for (const name of TROUBLES) {
    options.say?.(name);
    await inflict(world, { name, target: 0, ms: troubleMs, pauseMs: 0 });
    p50[name] = percentile(load.takeTimes(), 50);
    await delay(options.pauseMs);
    load.takeTimes();
  }
  return { ...(await load.stop()), p50 };
}

/** Steady load on instances that have started. */
async function warmLoad(world: World, { perSecond, pauseMs }: UpkeepOptions): Promise<PacedLoad> {
  const { status } = await askOnce(world, ROUTE);
  if (status !== 200) throw new Error(`the first client was answered ${status}`);
  const load = new PacedLoad({ targets: world.nodes.map(({ listen }) => ({ port: listen })), host: ROUTE, perSecond });
  await delay(pauseMs);
  return load;
}

async function restart(world: World, node: NodeSlot): Promise<void> {
  const { child } = node;
  if (child === null) throw new Error(`${node.id} does not run`);
  const code = await world.end(child, 'SIGTERM');
  if (code !== 0) throw new Error(`${node.id} ended with ${String(code)}`);
  await world.startNode(node);
}

function askOnce(world: World, host: string): Promise<{ status: number; at: number }> {
  return new Promise((resolve) => {
    const settle = (status: number): void => resolve({ status, at: performance.now() });
    const outgoing = request({ host: '127.0.0.1', port: world.nodes[0]?.listen, path: '/', headers: { host } }, (incoming) => {
      incoming.resume().once('end', () => settle(incoming.statusCode ?? 0));
    });
    outgoing.once('error', () => settle(0));
    outgoing.end();
  });
}
