/**
 * The PROXY protocol (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt): what a proxy in front says of its client before
 * the client's own bytes.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { type ProxyVersion, V2_LOCAL, V2_PROXY, V2_SIGNATURE } from '../../config/proxy-protocol.ts';
import { type ClientEnds, isPort } from '../../link/client-ends.ts';

export type ProxyHeader =
  /** `client`: null when the proxy speaks for itself or can't tell, and the connection's own ends count. */
  | { readonly kind: 'complete'; readonly bytes: number; readonly client: ClientEnds | null }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'malformed' };

const INCOMPLETE: ProxyHeader = { kind: 'incomplete' };
const MALFORMED: ProxyHeader = { kind: 'malformed' };

/** With its CRLF; the specification's own bound. */
const V1_BYTES_MAX = 107;
const V1_START = Buffer.from('PROXY ');
const V2_FIXED_BYTES = 16;
/** The longest addresses and TLVs: proxies add some hundred bytes (certificates' names), an attacker 64 KiB. */
export const V2_REST_BYTES_MAX = 4_096;
/** Address family in the upper half; the transport in the lower does not matter to the length. */
const FAMILY_INET = 1;
const FAMILY_INET6 = 2;
const INET_BYTES = 12;
const INET6_BYTES = 36;

/** `bytes`: all that came so far. */
export function readProxyHeader(version: ProxyVersion, bytes: Buffer): ProxyHeader {
  return version === 'v1' ? readV1(bytes) : readV2(bytes);
}

function readV1(bytes: Buffer): ProxyHeader {
  if (!beginsLike(bytes, V1_START)) return MALFORMED;
  const end = bytes.subarray(0, V1_BYTES_MAX).indexOf('\r\n');
  if (end === -1) return bytes.length < V1_BYTES_MAX ? INCOMPLETE : MALFORMED;
  const header = { kind: 'complete', bytes: end + 2 } as const;
  const [, family, address = '', toAddress = '', ...ports] = bytes.toString('latin1', 0, end).split(' ');
  if (family === 'UNKNOWN') return { ...header, client: null };
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : () => false;
  if (!isAddress(address) || !isAddress(toAddress) || ports.length !== 2 || !ports.every(isPort)) return MALFORMED;
  return { ...header, client: { address, port: Number(ports[0]), toAddress, toPort: Number(ports[1]) } };
}

function readV2(bytes: Buffer): ProxyHeader {
  if (!beginsLike(bytes, V2_SIGNATURE)) return MALFORMED;
  if (bytes.length < V2_FIXED_BYTES) return INCOMPLETE;
  const restBytes = bytes.readUInt16BE(14);
  const command = bytes[12];
  if ((command !== V2_LOCAL && command !== V2_PROXY) || restBytes > V2_REST_BYTES_MAX) return MALFORMED;
  if (bytes.length < V2_FIXED_BYTES + restBytes) return INCOMPLETE;
  const header = { kind: 'complete', bytes: V2_FIXED_BYTES + restBytes } as const;
  if (command === V2_LOCAL) return { ...header, client: null };
  const rest = bytes.subarray(V2_FIXED_BYTES, header.bytes);
  switch ((bytes[13] as number) >> 4) {
    case FAMILY_INET:
      return restBytes < INET_BYTES ? MALFORMED : { ...header, client: endsOf(rest, 4, (bytes) => bytes.join('.')) };
    case FAMILY_INET6:
      return restBytes < INET6_BYTES ? MALFORMED : { ...header, client: endsOf(rest, 16, ipv6Text) };
    default:
      return { ...header, client: null };
  }
}

/** Two addresses of so many bytes, two ports. */
function endsOf(bytes: Buffer, width: number, textOf: (address: Buffer) => string): ClientEnds {
  return {
    address: textOf(bytes.subarray(0, width)),
    port: bytes.readUInt16BE(2 * width),
    toAddress: textOf(bytes.subarray(width, 2 * width)),
    toPort: bytes.readUInt16BE(2 * width + 2),
  };
}

/** In RFC 5952's form, which the URL parser writes. */
function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

function beginsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.subarray(0, length).equals(start.subarray(0, length));
}
