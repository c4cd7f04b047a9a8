import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { FailureDomain } from '../../../../src/boundary.ts';
import { tableAddress, VanishedClients } from '../../../../src/node/listeners/vanished.ts';
import { eventually } from '../../../support/eventually.ts';

interface Client extends FailureDomain {
  /** Its end of the connection. */
  readonly far: Socket;
  readonly socket: Socket;
  paused: boolean;
  readonly seen: string[];
  clientVanished(ended: boolean): void;
}

const NO_FAULT: FailureDomain = { where: 'client', fail: () => {} };
const open: Socket[] = [];
let vanished: VanishedClients;

beforeEach(() => {
  vanished = new VanishedClients();
});

afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

/** Connections that are accepted and not read. */
async function connectPaused(count: number, host: string): Promise<Client[]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const clients: Client[] = [];
  for (let i = 0; i < count; i++) {
    const far = connect({ port, host, allowHalfOpen: true });
    const [[socket]] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, once(far, 'connect')]);
    socket.on('error', () => {});
    open.push(far, socket);
    const seen: string[] = [];
    clients.push({ ...NO_FAULT, far, socket, paused: true, seen, clientVanished: (ended) => seen.push(ended ? 'ended' : 'broken') });
  }
  server.close();
  return clients;
}

/** Looks until all that is expected is seen. */
async function look(clients: readonly Client[], until: () => boolean): Promise<void> {
  await eventually('it is noticed', () => {
    if (!until()) vanished.look(clients.filter(({ seen }) => seen.length === 0));
    return until();
  });
}

describe.each(['127.0.0.1', '::1'])('at %s', (host) => {
  test('those that are gone are found, the others are left alone', async () => {
    const clients = await connectPaused(30, host);
    const [ended, broken] = [clients[3] as Client, clients[17] as Client];
    ended.far.end();
    broken.far.resetAndDestroy();
    await look(clients, () => ended.seen.length + broken.seen.length === 2);
    expect([ended.seen, broken.seen]).toEqual([['ended'], ['broken']]);
    expect(clients.filter(({ seen }) => seen.length > 0)).toHaveLength(2);
  });

  test('one that is behind bytes which nobody reads is found', async () => {
    const [client] = (await connectPaused(1, host)) as [Client];
    client.far.end('x'.repeat(100_000));
    await look([client], () => client.seen.length > 0);
    expect(client.seen).toEqual(['ended']);
  });
});

test('an IPv4 client at a port of both is found', async () => {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '::');
  await once(server, 'listening');
  const far = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  socket.on('error', () => {});
  open.push(far, socket);
  const seen: string[] = [];
  const client: Client = { ...NO_FAULT, far, socket, paused: true, seen, clientVanished: (ended) => seen.push(ended ? 'ended' : 'broken') };
  far.resetAndDestroy();
  await look([client], () => seen.length > 0);
  expect(seen).toEqual(['broken']);
});

test('one that is read again while the table is looked at hears of its end from its socket', async () => {
  const [client, other] = (await connectPaused(2, '127.0.0.1')) as [Client, Client];
  client.far.end();
  other.far.end();
  await once(client.far, 'finish');
  vanished.look([client, other]);
  client.paused = false;
  await eventually('the look is over', () => other.seen.length > 0);
  expect(client.seen).toEqual([]);
});

test.each([
  ['127.0.0.1', '0100007F'],
  ['192.0.2.254', 'FE0200C0'],
  ['255.255.255.255', 'FFFFFFFF'],
  ['::1', '00000000000000000000000001000000'],
  ['::', '00000000000000000000000000000000'],
  ['::ffff:192.0.2.254', '0000000000000000FFFF0000FE0200C0'],
  ['2001:db8::ff00:42:8329', 'B80D01200000000000FF000029834200'],
  ['fe80::1%lo', '000080FE000000000000000001000000'],
  ['1:2:3:4:5:6:7:8', '02000100040003000600050008000700'],
])('the kernel’s table has %s as %s', (address, written) => {
  expect(tableAddress(address)).toBe(written);
});
