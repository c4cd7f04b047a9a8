import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/**
 * Below the ports that systems give to outgoing connections (RFC 6335 section 6 says 49152 and up, Linux begins at 32768): there nobody
 * is given the port by accident before the application binds it, and a probe can't meet itself.
 */
const PORT_MIN = 20_000;
const PORT_MAX = 32_767;
const ATTEMPTS_MAX = 50;

/**
 * The last ports that this process has given: their applications may not have bound them yet. An agent starts many at once, and two with one port
 * would be worse than one that fails: the requests of both instances would reach the application that came first.
 */
const given = new Set<number>();
const GIVEN_MAX = 5_000;

/** A port that is free on every address of this machine, IPv4 and IPv6, now. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const wanted = randomInt(PORT_MIN, PORT_MAX + 1);
    if (given.has(wanted)) continue;
    remember(wanted);
    const port = await bind(wanted);
    if (port !== null) return port;
  }
  const port = await bind(0);
  if (port === null) throw new Error('no free port for the application');
  return port;
}

function remember(port: number): void {
  const [oldest] = given;
  if (given.size >= GIVEN_MAX && oldest !== undefined) given.delete(oldest);
  given.add(port);
}

async function bind(port: number): Promise<number | null> {
  for (const host of ['::', '0.0.0.0']) {
    const server = createServer();
    try {
      await once(server.listen({ host, port }), 'listening');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A machine without IPv6.
      if (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL') continue;
      if (code === 'EMFILE' || code === 'ENFILE') throw error;
      return null;
    }
    const bound = (server.address() as AddressInfo).port;
    server.close();
    await once(server, 'close');
    return bound;
  }
  return null;
}
