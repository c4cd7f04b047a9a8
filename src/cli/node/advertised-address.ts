import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { parseRedisUrl, redisAddresses } from '../../config/redis-url.ts';

const ALL_ADDRESSES: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/**
 * The default of --advertise: the host that the backend port is bound to, or, if it is bound to all
 * addresses, this machine's address towards Redis, because other nodes are probably in the same network.
 */
export async function advertisedHost(boundHost: string, redis: string | undefined): Promise<string> {
  if (!ALL_ADDRESSES.has(boundHost)) return boundHost;
  return redis === undefined ? '127.0.0.1' : ownAddressTowards(redis);
}

/** Connecting a UDP socket sends nothing, but the system chooses the local address. */
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
    // The name of Redis can't be resolved now, or there is no route to it.
    return ownAddress();
  } finally {
    socket.close();
  }
}

function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((one) => one ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}
