import { isIP, isIPv4 } from 'node:net';
import type { Kind } from './kinds.ts';

/** Addresses that begin with the same bits, as RFC 4632 writes them. */
export interface AddressRange {
  readonly address: string;
  readonly bits: number;
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address; null when `written` is neither. */
export function parseAddressRange(written: string): AddressRange | null {
  const match = /^([0-9a-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(written.trim());
  const address = match?.[1] ?? '';
  if (isIP(address) === 0) return null;
  const bitsMax = isIPv4(address) ? 32 : 128;
  const bits = match?.[2] === undefined ? bitsMax : Number(match[2]);
  return bits <= bitsMax ? Object.freeze({ address, bits }) : null;
}

export const addressRange: Kind<AddressRange> = {
  expected: 'an address or a range of them, such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32',
  placeholder: 'CIDR',
  read: (value) => (typeof value === 'string' ? parseAddressRange(value) : null),
  write: ({ address, bits }) => `${address}/${bits}`,
};
