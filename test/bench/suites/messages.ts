import { tcpEcho, webSocketEcho } from '../ping-pong.ts';
import { compare } from '../rounds.ts';
import type { Suite } from './suite.ts';

/** 50 WebSockets, each with one small message on its way at a time. */
export const webSockets: Suite = async (surroundings, { rounds, seconds }, found) => {
  const { port } = await surroundings.startApp('echo.mjs', { MODE: 'websocket' });
  const targets = [await surroundings.startPullproxy(port), await surroundings.startChain(port)];
  const title = { suite: 'websocket', name: '100 bytes and their echo, 50 clients', unit: 'messages/s' } as const;
  found(await compare(title, targets, rounds, (target) => webSocketEcho(target, seconds)));
};

/** The same by plain TCP. */
export const tcp: Suite = async (surroundings, { rounds, seconds }, found) => {
  const { port } = await surroundings.startApp('echo.mjs');
  const node = { listen: 'tcp://127.0.0.1:0?route=echo' };
  const targets = [await surroundings.startPullproxy(port, node, 'echo'), await surroundings.startChain(port, 'tcp-chain.cfg')];
  const title = { suite: 'tcp', name: '100 bytes and their echo, 50 clients', unit: 'messages/s' } as const;
  found(await compare(title, targets, rounds, (target) => tcpEcho(target, seconds)));
};
