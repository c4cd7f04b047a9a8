import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { rss } from '../children.ts';
import type { Suite } from './suite.ts';

/** A node that holds as many already is the honest base: its code is compiled, and its young generation has grown. */
const BASE = 6_000;
const MORE = 8_000;

/** By how much a node grows for each client that waits for an application which never starts. */
export const held: Suite = async (surroundings, _extent, found) => {
  const config = join(surroundings.directory, 'held.yaml');
  writeFileSync(config, 'routes:\n  held.test:\n    holdTimeout: 5m\n    maxHeld: 20000\n');
  const { address, pid } = await surroundings.startNode({ args: ['--config', config] });
  const sockets: Socket[] = [];
  await holdClients(BASE, address, sockets);
  const before = rss(pid);
  await holdClients(MORE, address, sockets);
  const each = (rss(pid) - before) / MORE;
  for (const socket of sockets) socket.destroy();
  found({ suite: 'held', name: `memory of a held client, from ${BASE} to ${BASE + MORE} of them`, value: each, unit: 'bytes' });
  found({ suite: 'held', name: 'held clients in a GB', value: Math.floor(1_073_741_824 / each), unit: '' });
};

async function holdClients(count: number, address: string, sockets: Socket[]): Promise<void> {
  const [host, port] = address.split(':');
  for (let i = 0; i < count; i++) {
    const socket = connect({ host, port: Number(port) });
    await once(socket, 'connect');
    socket.write(
      `GET /some/page?number=${i} HTTP/1.1\r\nHost: held.test\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nCookie: session=0123456789abcdef\r\n\r\n`,
    );
    sockets.push(socket);
  }
  await new Promise((resolve) => setTimeout(resolve, 2_000));
}
