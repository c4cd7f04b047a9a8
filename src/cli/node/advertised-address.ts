import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { parseRedisUrl, redisAddresses } from '../../config/redis-url.ts';

const ALL_ADDRESSES: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/**
 * The host under which others reach the backend port, when nobody said it: the one that the port is bound to, or, for all
 * addresses, this machine's own on the way to Redis, since other nodes are most likely reached on the same way.
 */
export async function advertisedHost(boundHost: string, redis: string | undefined): Promise<string> {
  if (!ALL_ADDRESSES.has(boundHost)) return boundHost;
  return redis === undefined ? '127.0.0.1' : ownAddressTowards(redis);
}

/** Connecting a UDP socket sends nothing, but the system chooses the way. */
async function ownAddressTowards(redis: string): Promise<string> {
  const place = parseRedisUrl(redis);
  const [at] = place === null ? [] : redisAddresses(place);
  if (at === undefined) return ownAddress();
  const { host, port } = at;
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(port, host, resolve);
    });
    return socket.address().address;
  } catch {
    // Redis has no name now, or there is no way to it.
    return ownAddress();
  } finally {
    socket.close();
  }
}

function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((one) => one ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}
