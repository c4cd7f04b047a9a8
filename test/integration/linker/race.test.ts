import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { race } from '../../../src/linker/race.ts';
import { closeFakeNodes, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';

const servers = new Set<Server>();
const sockets = new Set<Socket>();
afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  servers.clear();
});

const never = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

describe('a race', () => {
  const base = { timeoutMs: 10_000, failed: () => {}, signal: new AbortController().signal };

  test('does not wait for addresses that do not answer, and aborts them when another one does', async () => {
    const tried: string[] = [];
    const aborted: string[] = [];
    const attempt = (target: string, signal: AbortSignal): Promise<string> => {
      tried.push(target);
      signal.addEventListener('abort', () => aborted.push(target));
      return target === 'good' ? Promise.resolve(target) : never(signal);
    };
    expect(await race({ ...base, targets: ['frozen', 'lost', 'good', 'unneeded'], attempt })).toBe('good');
    expect(tried).toEqual(['frozen', 'lost', 'good']);
    expect(aborted).toEqual(expect.arrayContaining(['frozen', 'lost']));
  });

  test('goes on at once when an address refuses, and fails when all have, with the last reason', async () => {
    const failed: string[] = [];
    const attempt = (target: string): Promise<never> => Promise.reject(new Error(target));
    const all = race({ ...base, targets: ['a', 'b', 'c'], attempt, failed: (target) => failed.push(target) });
    await expect(all).rejects.toThrow('c');
    expect(failed).toEqual(['a', 'b', 'c']);
    await expect(race({ ...base, targets: [], attempt })).rejects.toThrow('no address');
  });

  test('gives up an address that does not answer in its time, and all of them when it is told to', async () => {
    const failed: unknown[] = [];
    const attempt = (_target: string, signal: AbortSignal): Promise<never> => never(signal);
    await expect(race({ ...base, targets: ['a'], attempt, timeoutMs: 20, failed: (_t, error) => failed.push(error) })).rejects.toThrow();
    expect(failed).toMatchObject([{ name: 'TimeoutError' }]);
    const ending = new AbortController();
    const raced = race({ ...base, targets: ['a', 'b'], attempt, signal: ending.signal });
    ending.abort(new Error('over'));
    expect(await raced).toBeNull();
    expect(await race({ ...base, targets: ['a'], attempt, isOver: () => true })).toBeNull();
  });
});

test('a linker is at home at the node that answers, before the frozen ones have used up their time', async () => {
  const frozen = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const server = createServer((socket) => sockets.add(socket));
      servers.add(server);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
    }),
  );
  const node = await FakeNode.start();
  const running = new RunningLinker({ proxies: [...frozen, node.address], app: node.address });
  await node.instance();
  expect(running.said('a node can not be linked')).toEqual([]);
});
