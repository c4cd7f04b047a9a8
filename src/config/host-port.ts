import { isIPv4, isIPv6 } from 'node:net';

export interface HostPort {
  /** A name or an address; an IPv6 address without its brackets, as sockets want it. */
  readonly host: string;
  /** When listening, 0 asks the system for a free port. */
  readonly port: number;
}

/** `example.com:80`, `127.0.0.1:0`, `[::1]:9080`; null when `text` is neither. */
export function parseHostPort(text: string): HostPort | null {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text.trim());
  if (match === null) return null;
  const [, bracketed, plain, digits] = match;
  const port = Number(digits);
  if (port > 65_535) return null;
  if (bracketed !== undefined) return isIPv6(bracketed) ? Object.freeze({ host: bracketed, port }) : null;
  if (plain === undefined || !validHost(plain)) return null;
  return Object.freeze({ host: plain, port });
}

/** The longest HOST:PORT: a name of 253 characters, a colon and a port. */
export const ADDRESS_BYTES_MAX = 260;

/** Parses an address from a link or from Redis; null when it can't be dialled. Reads only the beginning of a long text. */
export function parseDialAddress(text: string): HostPort | null {
  const parsed = text.length <= ADDRESS_BYTES_MAX && !/\s/.test(text) ? parseHostPort(text) : null;
  return parsed !== null && parsed.port > 0 ? parsed : null;
}

/** The inverse: an IPv6 address gets its brackets. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Where a machine reaches what it listens at itself: an address that means all of them is none to connect to. */
export function ownHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/** True for addresses that only this machine reaches: 127.0.0.0/8, ::1, and those mapped into IPv6. */
export function isLoopback(address: string): boolean {
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  return plain === '::1' || (isIPv4(plain) && plain.startsWith('127.'));
}

function validHost(host: string): boolean {
  // A text that looks like an IPv4 address must be one: 300.1.1.1 would otherwise go to DNS and fail there, much later.
  if (/^[\d.]+$/.test(host)) return isIPv4(host);
  return host.length <= 253 && /^[a-z\d_]([a-z\d_-]*[a-z\d_])?(\.[a-z\d_]([a-z\d_-]*[a-z\d_])?)*\.?$/i.test(host);
}
