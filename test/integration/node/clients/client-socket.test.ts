import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { ClientSocket } from '../../../../src/node/clients/client-socket.ts';
import { plainAddress } from '../../../../src/node/clients/origin.ts';

const open: Socket[] = [];

afterEach(() => {
  jest.restoreAllMocks();
  for (const socket of open.splice(0)) socket.destroy();
});

async function pair(): Promise<{ client: ClientSocket; far: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const far = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  const [[socket]] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, once(far, 'connect')]);
  server.close();
  open.push(socket, far);
  return { client: new ClientSocket(socket, 0), far };
}

describe('after the last words', () => {
  test('a client that sends on has two seconds after each piece, thirty in all', async () => {
    const { client } = await pair();
    client.linger(Buffer.from('last words'));
    await once(client.socket, 'finish');
    const said = client.deadline - 2_000;
    expect(client.hasSaid).toBe(true);
    const clock = jest.spyOn(performance, 'now');
    clock.mockReturnValue(said + 20_000);
    client.drop();
    expect(client.deadline).toBe(said + 22_000);
    clock.mockReturnValue(said + 29_000);
    client.drop();
    expect(client.deadline).toBe(said + 30_000);
  });

  test('their time begins when the kernel has them', async () => {
    const { client, far } = await pair();
    far.pause();
    client.deadline = 5;
    client.linger(Buffer.alloc(20_000_000));
    client.drop();
    expect([client.hasSaid, client.deadline]).toEqual([false, 5]);
  });
});

test('progress is a byte in either direction', async () => {
  const { client, far } = await pair();
  client.socket.resume();
  expect(client.hasMoved()).toBe(false);
  far.write('x');
  await once(client.socket, 'data');
  expect([client.hasMoved(), client.hasMoved()]).toEqual([true, false]);
  client.write(Buffer.from('x'));
  await once(far, 'data');
  expect([client.hasMoved(), client.hasMoved()]).toEqual([true, false]);
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8::1', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1'],
  [undefined, 'unknown'],
])('a client at %s is told as %s', (address, told) => {
  expect(plainAddress(address)).toBe(told);
});
