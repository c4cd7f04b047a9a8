import type { Socket } from 'node:net';
import { type ClientEnds, clientText } from '../../link/client-ends.ts';

/** Where a client's connection comes from: as its socket says, or as a trusted proxy in front said it. */
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

  /** What a linker is told of it, see client-ends.ts. Few linkers ask: until one does, the socket isn't either. */
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
