import { wrk } from '../load.ts';
import { compare } from '../rounds.ts';
import { ROUTE } from '../surroundings.ts';
import type { Suite } from './suite.ts';

/** The same application in Node: it pulls by itself, it has a linker beside it, and it stands behind one HAProxy process. */
export const pull: Suite = async (surroundings, { rounds, seconds, quick }, found) => {
  const node = await surroundings.startNode({});
  const pulling = await surroundings.startApp('hello.ts', { PROXY: node.backend, ROUTE });
  const behindLinker = await surroundings.startApp('hello.ts');
  const behindHop = await surroundings.startApp('hello.ts');
  const targets = [
    { name: 'pull', address: node.address, pids: { node: node.pid, app: pulling.pid } },
    { ...(await surroundings.startPullproxy(behindLinker.port)), name: 'linker' },
    await surroundings.startHop(behindHop.port, 'chain.cfg'),
  ];
  for (const clients of quick ? [10] : [1, 10, 50, 200]) {
    const title = { suite: 'pull', name: `${clients} clients`, unit: 'req/s' } as const;
    found(await compare(title, targets, rounds, ({ address }) => wrk(`http://${address}/`, { clients, seconds })));
  }
};
