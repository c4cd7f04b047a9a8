import { fixedRate } from '../fixed-rate.ts';
import { wrk } from '../load.ts';
import { compare } from '../rounds.ts';
import type { Suite } from './suite.ts';

/** Latency at half of what the chain can do. */
export const latency: Suite = async (surroundings, { rounds, seconds }, found) => {
  const origin = await surroundings.startOrigin();
  const chain = await surroundings.startChain(origin);
  const targets = [await surroundings.startPullproxy(origin), chain];
  for (const { address } of targets) await wrk(`http://${address}/`, { clients: 50, seconds: 1 });
  const { perSecond } = await wrk(`http://${chain.address}/`, { clients: 50, seconds });
  const rate = Math.round(perSecond / 2 / 100) * 100;
  const title = { suite: 'latency', name: `${rate} requests a second`, unit: 'p99 ms' } as const;
  found(await compare(title, targets, rounds, (target) => fixedRate(target, rate, seconds)));
};
