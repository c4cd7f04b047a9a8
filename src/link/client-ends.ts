/** The client of a stream, which a node tells a linker that asked for it in its HELLO. */
import { isIP } from 'node:net';
import { LinkProtocolError } from '../errors.ts';

/** The ends of a client's connection. Both addresses are of one family and plain: no zone, no `::ffff:192.0.2.1`. */
export interface ClientEnds {
  readonly address: string;
  readonly port: number;
  /** The address that the client connected to. */
  readonly toAddress: string;
  readonly toPort: number;
}

/** Two addresses of IPv6 in their longest form, two ports. */
const TEXT_BYTES_MAX = 2 * 45 + 2 * 5 + 3;

/** `192.0.2.7 4660 127.0.0.1 80`; '' when an end is not known or has a zone, or the two are of different families. */
export function clientText({ address, port, toAddress, toPort }: ClientEnds): string {
  const family = isIP(address);
  const text = `${address} ${port} ${toAddress} ${toPort}`;
  return family === 0 || family !== isIP(toAddress) || text.includes('%') ? '' : text;
}

/** @throws LinkProtocolError when it is not what `clientText` writes of a known client. */
export function readClientText(text: string): ClientEnds {
  const [address = '', port = '', toAddress = '', toPort = '', ...more] = text.split(' ');
  const ends = { address, port: Number(port), toAddress, toPort: Number(toPort) };
  const whole = more.length === 0 && isPort(port) && isPort(toPort) && text.length <= TEXT_BYTES_MAX;
  if (!whole || clientText(ends) !== text) throw new LinkProtocolError('CLIENT without the two ends of a connection');
  return ends;
}

/** In its shortest form. */
export function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}
