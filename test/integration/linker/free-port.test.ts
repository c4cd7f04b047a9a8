import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { freePort } from '../../../src/linker/free-port.ts';

test('a free port can be bound, and is not one that outgoing connections are given', async () => {
  const port = await freePort();
  expect(port).toBeGreaterThanOrEqual(20_000);
  expect(port).toBeLessThan(32_768);
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.close();
});

/** By chance alone some hundred of them would be the same. */
const AT_ONCE = 2_000;

test('applications that one process starts at once get ports of their own, although none has bound its port yet', async () => {
  const ports = await Promise.all(Array.from({ length: AT_ONCE }, () => freePort()));
  expect(new Set(ports).size).toBe(AT_ONCE);
});
