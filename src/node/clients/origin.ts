import type { Socket } from 'node:net';
import { type ClientEnds, clientText } from '../../link/client-ends.ts';

/** The origin of a client's connection: from its socket, or from a trusted proxy in front. */
export class Origin {
  /** The client's, plain. */
  readonly address: string;
  readonly #socket: Socket;
  readonly #said: ClientEnds | null;
  #text: string | null = null;

  /** `said`: by a PROXY header; null: the connection's own ends count. */
  constructor(socket: Socket, said: ClientEnds | null = null) {
    this.#socket = socket;
    this.#said = said;
    this.address = said === null ? plainAddress(socket.remoteAddress) : said.address;
  }

  /** The text for a linker, see client-ends.ts. It is made only when a linker asks for it. */
  get text(): string {
    this.#text ??= clientText(this.#said ?? this.#own);
    return this.#text;
  }

  get #own(): ClientEnds {
    const { remotePort, localAddress, localPort } = this.#socket;
    return { address: this.address, port: remotePort ?? 0, toAddress: plainAddress(localAddress), toPort: localPort ?? 0 };
  }
}

/** `::ffff:192.0.2.1` is an IPv4 client at a dual-stack socket; the zone of a link-local one (`fe80::1%eth0`) means something here only. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice(7);
  const zone = address.indexOf('%');
  return zone === -1 ? address : address.slice(0, zone);
}
