/**
 * What it costs a client that the idle slot lies at another node: single requests go to two nodes by turns, so that the slot is always at the
 * one that is not asked, against the same at one node that keeps its slot.
 */
import { Agent, request } from 'node:http';
import { percentile } from '../load.ts';
import type { StartedNode } from '../surroundings.ts';
import type { Suite } from './suite.ts';

const REQUESTS = 2_000;
const QUICK_REQUESTS = 200;
/** A slot that was just used is at its node for sure. */
const WARM_REQUESTS = 50;

export const handoff: Suite = async (surroundings, { quick }, found) => {
  const origin = await surroundings.startOrigin();
  const redis = ['--redis', await surroundings.startRedis()];
  const a = await surroundings.startNode({ args: redis });
  const b = await surroundings.startNode({ args: redis });
  const alone = await surroundings.startNode({ args: ['--redis', await surroundings.startRedis()] });
  await surroundings.startLinker(a.backend, origin, { concurrency: 1 });
  await surroundings.startLinker(alone.backend, origin, { concurrency: 1 });
  const agent = new Agent({ keepAlive: true });
  const local: number[] = [];
  const moved: number[] = [];
  const count = (quick ? QUICK_REQUESTS : REQUESTS) + WARM_REQUESTS;
  for (let i = 0; i < count; i++) {
    const times = [await ask(agent, alone), await ask(agent, i % 2 === 0 ? a : b)] as const;
    if (i < WARM_REQUESTS) continue;
    local.push(times[0]);
    moved.push(times[1]);
  }
  agent.destroy();
  for (const p of [50, 99]) {
    const say = (name: string, value: number): void => found({ suite: 'handoff', name: `${name} p${p}`, value, unit: 'ms' });
    say('slot at the node', percentile(local, p));
    say('slot at another node', percentile(moved, p));
    say('added by the handoff', percentile(moved, p) - percentile(local, p));
  }
};

/** Returns how long the answer took, in ms. */
function ask(agent: Agent, { address }: StartedNode): Promise<number> {
  const from = performance.now();
  return new Promise((resolve, reject) => {
    const asked = request(`http://${address}/`, { agent }, (response) => {
      response.resume().on('end', () => {
        if (response.statusCode === 200) resolve(performance.now() - from);
        else reject(new Error(`${address} answers ${response.statusCode}`));
      });
    });
    asked.on('error', reject).end();
  });
}
