/** An application that changes its limit as fast as it can, with each response and at its control socket, costs others nothing. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { Frame, FrameReader } from '../../../src/link/frames.ts';
import { ask } from '../../support/clients.ts';
import { type ClusterNode, metric, startLinker, startNode, state } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import type { Running } from '../../support/processes.ts';

const HOSTILE = 'hostile.example.com';
const QUIET = 'quiet.example.com';
const FLOOD_MS = 2_500;

/** Until it is asked for /stop it says another limit at its socket again and again, on several connections, and another one in each response. */
const FLOODING = `
const http = require('node:http');
let said = 0, isOver = false, last = null;
const limit = () => String((said++ * 37) % 101);
const agent = new http.Agent({ keepAlive: true });
const put = (text) => new Promise((resolve) => {
  const asked = http.request({ socketPath: process.env.PULLPROXY_CONTROL, method: 'PUT', path: '/concurrency', agent }, (response) => response.resume().on('end', resolve));
  asked.on('error', resolve).end(text);
});
const flood = async () => { while (!isOver) await put(limit()); };
http.createServer(async (request, response) => {
  if (request.url === '/stop') {
    isOver = true;
    await floods;
    await put('5');
    response.end(String(said));
    return;
  }
  response.setHeader('Pullproxy-Concurrency', limit());
  response.end();
}).listen(process.env.PORT, '127.0.0.1');
const floods = Promise.all([flood(), flood(), flood(), flood()]);
`;
const PLAIN = `require('node:http').createServer((request, response) => response.end('quiet')).listen(process.env.PORT, '127.0.0.1')`;

const running: Running[] = [];
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop();
});

/** A way to the node that counts the frames of each type that a linker sends on it. */
async function counted(backend: string): Promise<{ readonly address: string; readonly frames: Map<number, number> }> {
  const frames = new Map<number, number>();
  const server = createServer({ noDelay: true }, (near: Socket) => {
    const far = connect({ port: Number(backend.split(':').at(-1)), host: '127.0.0.1', noDelay: true });
    const reader = new FrameReader((type) => {
      frames.set(type, (frames.get(type) ?? 0) + 1);
      return 'borrowed';
    });
    near.on('data', (chunk: Buffer) => void reader.push(chunk));
    for (const socket of [near, far]) socket.on('error', () => {});
    near.pipe(far).pipe(near);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, frames };
}

/** Clients of the route, one request after the other each; how long the responses took, in ms, in order. */
async function load(
  node: ClusterNode,
  host: string,
  clients: number,
): Promise<{ readonly took: number[]; readonly statuses: Set<number> }> {
  const took: number[] = [];
  const statuses = new Set<number>();
  const until = performance.now() + FLOOD_MS;
  const lane = async (): Promise<void> => {
    while (performance.now() < until) {
      const began = performance.now();
      statuses.add((await ask(node.url, { host })).status);
      took.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: clients }, lane));
  return { took: took.sort((a, b) => a - b), statuses };
}

test('its changes are put together, its link stays, its last word counts, and another application is served as before', async () => {
  const node = await startNode(null);
  running.push(node);
  const { address, frames } = await counted(node.backend);
  const link = (route: string, app: string, proxy = node.backend) =>
    startLinker({ proxies: [proxy], route, concurrency: 10, app: [process.execPath, '-e', app] });
  running.push(await link(QUIET, PLAIN), await link(HOSTILE, FLOODING, address));
  const instanceOf = async (route: string) => (await state(node)).routes.find(({ name }) => name === route)?.instances[0]?.id;
  const before = await Promise.all([instanceOf(QUIET), instanceOf(HOSTILE)]);

  const [hostile, quiet] = await Promise.all([load(node, HOSTILE, 6), load(node, QUIET, 2)]);
  expect(hostile.statuses).toEqual(new Set([200]));
  expect(quiet.statuses).toEqual(new Set([200]));
  expect(quiet.took[Math.floor(quiet.took.length * 0.99)]).toBeLessThan(500);
  expect(quiet.took.length).toBeGreaterThan(50);

  const said = Number((await ask(node.url, { host: HOSTILE, path: '/stop' })).body);
  await eventually('its last word is in force', async () => {
    const [instance] = (await state(node)).routes.find(({ name }) => name === HOSTILE)?.instances ?? [];
    expect(instance).toMatchObject({ concurrency: 5, setBy: 'control', state: 'ready' });
    return true;
  });
  // Slots follow every 5 ms at most, and those of streams that end meanwhile come with the next look.
  const sent = (type: number): number => frames.get(type) ?? 0;
  expect(sent(Frame.GRANT) + sent(Frame.RECALL)).toBeLessThan(Math.max(said / 4, FLOOD_MS / 8));
  expect(sent(Frame.STATE)).toBeLessThan(FLOOD_MS / 20);
  // It was really a flood, and both instances have had their links all the time: a link on which too many frames come is closed.
  expect(said).toBeGreaterThan(500);
  expect(await Promise.all([instanceOf(QUIET), instanceOf(HOSTILE)])).toEqual(before);
  expect(node.logs.filter(({ msg }) => msg === 'linker gone')).toEqual([]);
  await eventually('slots follow', async () => (await metric(node, 'pullproxy_slots', { route: HOSTILE })) === 5);
  // Reports are put together: the log of each linker and the node has no line for each change.
  for (const one of running) expect(one.logs.length).toBeLessThan(100);
}, 60_000);
