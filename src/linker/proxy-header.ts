/**
 * The header that an application reads before a client's first byte, if it wants the PROXY protocol: whose the connection is
 * (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, sections 2.1 and 2.2).
 */
import { isIPv4 } from 'node:net';
import type { Duplex } from 'node:stream';
import { type FailureDomain, guard } from '../boundary.ts';
import { ipv4Word, ipv6Words } from '../config/ip-words.ts';
import { type ProxyVersion, V2_LOCAL, V2_PROXY, V2_SIGNATURE } from '../config/proxy-protocol.ts';
import { type ClientEnds, readClientText } from '../link/client-ends.ts';

const V2_UNSPEC = 0x00;
const V2_TCP4 = 0x11;
const V2_TCP6 = 0x21;

/** `client`: as client-ends.ts writes it; '' for a connection without a client, or with an unknown one. */
export function proxyHeader(version: ProxyVersion, client: string): Buffer {
  const ends = client === '' ? null : readClientText(client);
  return version === 'v1' ? Buffer.from(v1Line(ends)) : v2Header(ends);
}

/** In one packet with the stream's first bytes: there are applications that read a header and what follows at once. */
export function writeWithNext(connection: FailureDomain, socket: Duplex, header: Buffer): void {
  socket.cork();
  socket.write(header);
  process.nextTick(guard(connection, () => socket.uncork()));
}

function v1Line(ends: ClientEnds | null): string {
  if (ends === null) return 'PROXY UNKNOWN\r\n';
  const { address, port, toAddress, toPort } = ends;
  return `PROXY ${isIPv4(address) ? 'TCP4' : 'TCP6'} ${address} ${toAddress} ${port} ${toPort}\r\n`;
}

function v2Header(ends: ClientEnds | null): Buffer {
  if (ends === null) return Buffer.concat([V2_SIGNATURE, Buffer.from([V2_LOCAL, V2_UNSPEC, 0, 0])]);
  const { address, port, toAddress, toPort } = ends;
  const words = isIPv4(address) ? [ipv4Word(address), ipv4Word(toAddress)] : [...ipv6Words(address), ...ipv6Words(toAddress)];
  const rest = Buffer.alloc(4 * words.length + 4);
  for (const [at, word] of words.entries()) rest.writeUInt32BE(word, 4 * at);
  rest.writeUInt16BE(port, rest.length - 4);
  rest.writeUInt16BE(toPort, rest.length - 2);
  return Buffer.concat([V2_SIGNATURE, Buffer.from([V2_PROXY, isIPv4(address) ? V2_TCP4 : V2_TCP6, 0, rest.length]), rest]);
}
