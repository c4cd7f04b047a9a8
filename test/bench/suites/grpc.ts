import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compare } from '../rounds.ts';
import { unaryCalls } from '../unary-calls.ts';
import type { Suite } from './suite.ts';

const ROUTES = 'routes:\n  "127.0.0.1": { protocol: h2c }\n';

/** Unary calls of gRPC through an h2c route, beside one HAProxy process and beside two. */
export const grpc: Suite = async (surroundings, { rounds, seconds, quick }, found) => {
  const { port } = await surroundings.startApp('unary.mjs');
  const config = join(surroundings.directory, 'grpc.yaml');
  writeFileSync(config, ROUTES);
  const targets = [
    await surroundings.startPullproxy(port, { args: ['--config', config] }),
    ...(await surroundings.startAgainst(port, { args: ['--config', config] })),
    await surroundings.startHop(port, 'grpc.cfg'),
    await surroundings.startChain(port, 'grpc.cfg'),
  ];
  for (const clients of quick ? [1] : [1, 10, 50]) {
    const title = { suite: 'grpc', name: `unary, ${clients} ${clients === 1 ? 'client' : 'clients'}`, unit: 'req/s' } as const;
    found(await compare(title, targets, rounds, (target) => unaryCalls(target, clients, seconds)));
  }
};
