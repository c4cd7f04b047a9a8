import { wrk } from '../load.ts';
import { compare } from '../rounds.ts';
import type { Suite } from './suite.ts';

const CLIENTS = [1, 10, 50, 200, 1_000];
const QUICK_CLIENTS = [10, 50, 200];

/** Small answers to clients that keep their connections, through everything that is compared. */
export const keepAlive: Suite = async (surroundings, { rounds, seconds, quick }, found) => {
  const origin = await surroundings.startOrigin();
  const targets = [
    await surroundings.startPullproxy(origin),
    ...(await surroundings.startAgainst(origin)),
    await surroundings.startChain(origin),
    await surroundings.startPair(origin),
    { name: 'direct', address: `127.0.0.1:${origin}`, pids: {} },
  ];
  for (const clients of quick ? QUICK_CLIENTS : CLIENTS) {
    const title = { suite: 'keep-alive', name: `${clients} clients`, unit: 'req/s' } as const;
    found(await compare(title, targets, rounds, ({ address }) => wrk(`http://${address}/`, { clients, seconds })));
  }
};

/** A connection for each request. */
export const close: Suite = async (surroundings, { rounds, seconds }, found) => {
  const origin = await surroundings.startOrigin();
  const targets = [
    await surroundings.startPullproxy(origin),
    ...(await surroundings.startAgainst(origin)),
    await surroundings.startChain(origin),
    await surroundings.startPair(origin),
  ];
  const title = { suite: 'close', name: 'Connection: close, 50 clients', unit: 'req/s' } as const;
  const headers = ['Connection: close'];
  found(await compare(title, targets, rounds, ({ address }) => wrk(`http://${address}/`, { clients: 50, seconds, headers })));
};

/** TLS ends at the node, or at HAProxy; 50 clients that keep their connections. */
export const tls: Suite = async (surroundings, { rounds, seconds }, found) => {
  const origin = await surroundings.startOrigin();
  const { cert, key } = surroundings.certificate();
  const node = { listen: 'https://127.0.0.1:0', args: ['--tls-cert', cert, '--tls-key', key] };
  const targets = [await surroundings.startPullproxy(origin, node), await surroundings.startChain(origin, 'chain.cfg', 'tls-chain.cfg')];
  const title = { suite: 'tls', name: 'TLS ends here, 50 clients', unit: 'req/s' } as const;
  found(await compare(title, targets, rounds, ({ address }) => wrk(`https://${address}/`, { clients: 50, seconds })));
};
