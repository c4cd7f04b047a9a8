import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../../../src/linker/free-port.ts';
import { accepts, rss } from '../children.ts';
import { leastSquares } from '../slope.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Figure, Suite } from './suite.ts';

/** A node that holds as many already is the honest base: its code is compiled, and its young generation has grown. */
const COUNTS = [6_000, 8_000, 10_000, 12_000, 14_000];
const SETTLE_MS = 2_000;
const GB = 1_073_741_824;

type Holder = { readonly address: string; readonly pid: number };

/** By how much a node grows for each client that waits for an application which never starts, and HAProxy for each in its queue. */
export const held: Suite = async (surroundings, _extent, found) => {
  const holders = { '': await startNode(surroundings), ", in HAProxy's queue": await startQueue(surroundings) };
  for (const [where, holder] of Object.entries(holders)) {
    const { slope, error } = await memoryOfHeld(holder);
    const say = (name: string, value: number, unit: Figure['unit']): void => found({ suite: 'held', name: name + where, value, unit });
    say(`memory of a held client, from ${COUNTS[0]} to ${COUNTS.at(-1)} of them`, slope, 'bytes');
    say('its standard error', error, 'bytes');
    say('held clients in a GB', Math.floor(GB / slope), '');
  }
};

async function startNode(surroundings: Surroundings): Promise<Holder> {
  const config = join(surroundings.directory, 'held.yaml');
  writeFileSync(config, 'routes:\n  held.test:\n    holdTimeout: 5m\n    maxHeld: 20000\n');
  return surroundings.startNode({ args: ['--config', config] });
}

/** One HAProxy of one thread, whose only server takes one request at a time and never answers. */
async function startQueue(surroundings: Surroundings): Promise<Holder> {
  const [app, port] = [await surroundings.startApp('never.mjs'), await freePort()];
  const config = surroundings.configFile('queue.cfg', { LISTEN: port, SERVER: app.port });
  const { pid } = surroundings.children.start('haproxy', ['-db', '-f', config]);
  await accepts(port);
  return { address: `127.0.0.1:${port}`, pid: pid as number };
}

async function memoryOfHeld({ address, pid }: Holder): Promise<ReturnType<typeof leastSquares>> {
  const sockets: Socket[] = [];
  const points: [number, number][] = [];
  for (const count of COUNTS) {
    await holdClients(count, address, sockets);
    points.push([count, rss(pid)]);
  }
  for (const socket of sockets) socket.destroy();
  return leastSquares(points);
}

/** Opens more of them until there are `count`. */
async function holdClients(count: number, address: string, sockets: Socket[]): Promise<void> {
  const [host, port] = address.split(':');
  while (sockets.length < count) {
    const socket = connect({ host, port: Number(port) });
    await once(socket, 'connect');
    socket.on('error', () => {});
    socket.write(
      `GET /some/page?number=${sockets.length} HTTP/1.1\r\nHost: held.test\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nCookie: session=0123456789abcdef\r\n\r\n`,
    );
    sockets.push(socket);
  }
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const gone = sockets.filter(({ destroyed }) => destroyed).length;
  if (gone > 0) throw new Error(`${gone} of ${count} clients were not held`);
}
