import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { freePort } from '../../../src/linker/free-port.ts';
import { wrk } from '../load.ts';
import { compare } from '../rounds.ts';
import type { NodeStart, Surroundings, Target } from '../surroundings.ts';
import type { Suite } from './suite.ts';

/** How long slots may take to be where the clients are. */
const SETTLE_SECONDS = 1;

/**
 * The same load at the node that has the link, at one to which the slots move, and at one that the linker can't reach, so that the first
 * one relays. A cluster each, all alike.
 */
export const crossNode: Suite = async (surroundings, { rounds, seconds }, found) => {
  const origin = await surroundings.startOrigin();
  const targets = [
    await twoNodes(surroundings, origin, 'moved', async () => ({})),
    await twoNodes(surroundings, origin, 'local', async () => ({})),
    await twoNodes(surroundings, origin, 'relayed', behindDoor),
  ] as const;
  for (const { address } of targets) await wrk(`http://${address}/`, { clients: 50, seconds: SETTLE_SECONDS });
  const title = { suite: 'cross-node', name: '50 clients', unit: 'req/s' } as const;
  found(await compare(title, targets, rounds, ({ address }) => wrk(`http://${address}/`, { clients: 50, seconds })));
  for (const { name, address, redisPort } of targets) {
    const value = await commandsPerRequest(redisPort, address, seconds);
    found({ suite: 'cross-node', name: `Redis commands for a warm request, ${name}`, value, unit: '' });
  }
};

/** What Redis was asked under load, less what it is asked in the same time without any. Redis counts, what scripts do included. */
async function commandsPerRequest(redisPort: number, address: string, seconds: number): Promise<number> {
  const redis = new Redis(redisPort);
  const asked = async (): Promise<number> => Number(/total_commands_processed:(\d+)/.exec(await redis.info('stats'))?.[1]);
  const during = async (work: () => Promise<unknown>): Promise<{ commands: number; ms: number }> => {
    const [before, began] = [await asked(), performance.now()];
    await work();
    return { commands: (await asked()) - before, ms: performance.now() - began };
  };
  const idle = await during(() => new Promise((resolve) => setTimeout(resolve, seconds * 1_000)));
  let requests = 0;
  const loaded = await during(async () => {
    requests = (await wrk(`http://${address}/`, { clients: 50, seconds })).count;
  });
  redis.disconnect();
  return (loaded.commands - (idle.commands / idle.ms) * loaded.ms) / requests;
}

async function twoNodes(
  surroundings: Surroundings,
  origin: number,
  name: 'local' | 'moved' | 'relayed',
  where: (surroundings: Surroundings) => Promise<NodeStart>,
): Promise<Target & { readonly redisPort: number }> {
  const url = await surroundings.startRedis();
  const redis = ['--redis', url];
  const linked = await surroundings.startNode({ args: redis });
  const asked = await where(surroundings);
  const other = await surroundings.startNode({ args: [...redis, ...(asked.args ?? [])] });
  const linker = await surroundings.startLinker(linked.backend, origin);
  const at = name === 'local' ? linked : other;
  const pids: Record<string, number> = name === 'relayed' ? { node: at.pid, relay: linked.pid, linker } : { node: at.pid, linker };
  return { name, address: at.address, pids, redisPort: Number(new URL(url).port) };
}

async function behindDoor(surroundings: Surroundings): Promise<NodeStart> {
  const backend = await freePort();
  const door = await surroundings.startApp('door.mjs', { TARGET: String(backend) });
  return { args: ['--backend', `127.0.0.1:${backend}`, '--advertise', `127.0.0.1:${door.port}`] };
}

/** One worker and two, with as many linkers: the load comes from the same machine, and takes its share of it. */
export const workers: Suite = async (surroundings, { rounds, seconds }, found) => {
  const origin = await surroundings.startOrigin();
  const targets = [await withWorkers(surroundings, origin, 2), await withWorkers(surroundings, origin, 1)];
  for (const { address } of targets) await wrk(`http://${address}/`, { clients: 50, seconds: SETTLE_SECONDS });
  const title = { suite: 'workers', name: '50 clients', unit: 'req/s' } as const;
  found(await compare(title, targets, rounds, ({ address }) => wrk(`http://${address}/`, { clients: 50, seconds })));
};

async function withWorkers(surroundings: Surroundings, origin: number, count: number): Promise<Target> {
  const redis = await surroundings.startRedis();
  const backend = await freePort();
  const args = ['--redis', redis, '--workers', String(count), '--backend', `127.0.0.1:${backend}`];
  const node = await surroundings.startNode({ args });
  const pids: Record<string, number> = nodePids(node.pid);
  // The newest takes all that it can: an older one that has nothing to do must not leave amid the rounds.
  const stays = { args: ['--old-idle-timeout', '1h'] };
  for (let i = 1; i <= count; i++) pids[`linker ${i}`] = await surroundings.startLinker(node.backend, origin, stays);
  return { name: count === 1 ? 'one' : 'two', address: node.address, pids };
}

/** A node with several workers is a supervisor and its children (Linux: proc's list of them), one with a single worker is itself. */
function nodePids(pid: number): Record<string, number> {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return children.length === 0 ? { node: pid } : Object.fromEntries(children.map((child, i) => [`worker ${i + 1}`, child]));
}
