import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';

const DEFAULT_REDIS_PORT = 6379;
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
  const url = new URL(redis.split(',', 1)[0] ?? redis);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(Number(url.port) || DEFAULT_REDIS_PORT, host, resolve);
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
