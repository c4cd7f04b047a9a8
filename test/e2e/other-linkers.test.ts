/** The linkers of deploy/linkers behind a real node, with real clients. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import WebSocket from 'ws';
import { goLinker, pythonLinker } from '../conformance/tested-linkers.ts';
import { ask, crowd, statuses } from '../support/clients.ts';
import { type ClusterNode, SECRET, startNode, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { ownDirectory } from '../support/processes.ts';

const ROUTE = 'other.example.com';
const CONCURRENCY = 3;
const CLIENTS = 60;
const BYTES = 3_000_000;

const go = goLinker(ownDirectory());
const LINKERS: readonly (readonly [string, readonly string[], boolean])[] = [
  ['Python with ASGI', pythonLinker('app'), true],
  ['Python with WSGI', pythonLinker('wsgi'), false],
  ...(go === null ? [] : [['Go', go, true] as const]),
];

function start(node: ClusterNode, [program = '', ...args]: readonly string[]): ChildProcess {
  const env = { ...process.env, PULLPROXY_PROXY: node.backend, PULLPROXY_ROUTE: ROUTE, PULLPROXY_SECRET: SECRET };
  return spawn(program, args, { cwd: ownDirectory(), env, stdio: 'ignore' });
}

const instances = async (node: ClusterNode): Promise<readonly string[]> =>
  (await state(node)).routes.flatMap((route) => (route.name === ROUTE ? route.instances.map(({ id }) => id) : []));

async function echoes(node: ClusterNode): Promise<void> {
  const socket = new WebSocket(`${node.url.replace('http', 'ws')}/socket`, { headers: { host: ROUTE } });
  await once(socket, 'open');
  socket.send('over a slot');
  const [message] = (await once(socket, 'message')) as [Buffer];
  expect(message.toString()).toBe('over a slot');
  socket.close();
  await once(socket, 'close');
}

test.each(LINKERS)(
  '%s: a crowd, uploads, downloads, a newer instance and a drain, never more than the concurrency',
  async (_name, command, hasSockets) => {
    const node = await startNode(null);
    const first = start(node, command);
    const get = (path: string): ReturnType<typeof ask> => ask(node.url, { host: ROUTE, path });
    await eventually('the first instance is linked', async () => (await instances(node)).length === 1, 30_000);

    expect(statuses(await crowd(CLIENTS, () => node.url, { host: ROUTE, path: '/wait/20' }))).toEqual({ 200: CLIENTS });
    const body = Buffer.alloc(BYTES, 'pullproxy ');
    const uploads = await crowd(CONCURRENCY * 2, () => node.url, { host: ROUTE, path: '/echo', method: 'POST', body });
    expect(uploads.map(({ body: echo }) => echo === body.toString())).toEqual(uploads.map(() => true));
    expect((await get(`/bytes/${BYTES}`)).body.length).toBe(BYTES);
    if (hasSockets) await echoes(node);
    expect((await get('/most')).body).toBe(String(CONCURRENCY));

    // The newest instance is served first: only it is asked while it has a slot.
    const second = start(node, command);
    await eventually('the second instance is linked', async () => (await instances(node)).length === 2, 30_000);
    await eventually('the newer one answers', async () => (await get('/most')).body === '1', 30_000);

    // A drain loses nothing.
    const running = crowd(CLIENTS, () => node.url, { host: ROUTE, path: '/wait/30' });
    const left = once(second, 'exit');
    second.kill('SIGTERM');
    expect(statuses(await running)).toEqual({ 200: CLIENTS });
    expect(await left).toEqual([0, null]);
    expect(Number((await get('/most')).body)).toBe(CONCURRENCY);

    const last = once(first, 'exit');
    first.kill('SIGTERM');
    expect(await last).toEqual([0, null]);
    await node.stop();
  },
);
