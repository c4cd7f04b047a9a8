import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** A port that nobody listens at now: for programs that can't say which one they were given. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '0.0.0.0');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Below those that the kernel gives to outgoing connections (Linux: 32768 and up). */
const STABLE_PORTS = { min: 20_000, max: 32_000 };

/** As `freePort`, and nobody gets it by chance while the program that listens there is restarted. */
export async function stablePort(): Promise<number> {
  for (;;) {
    const port = randomInt(STABLE_PORTS.min, STABLE_PORTS.max);
    const server = createServer();
    const bound = await new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '0.0.0.0', () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (bound) return port;
  }
}
