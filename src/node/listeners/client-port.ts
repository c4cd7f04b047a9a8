import type { Server, Socket } from 'node:net';
import { formatHostPort } from '../../config/host-port.ts';
import { VanishedClients } from './vanished.ts';

/** How often deadlines of connections are looked at: their resolution. */
const SWEEP_MS = 250;
const BACKLOG = 4_096;

/** A client's connection, whatever it speaks, as its port sees it. */
export interface PortClient {
  readonly socket: Socket;
  /** When it is to be looked at again, on the monotonic clock; Infinity: not at all. */
  readonly deadline: number;
  /** Its socket is not read now. */
  readonly paused: boolean;
  /** The deadline has passed. */
  timeOut(now: number): void;
  /** The node leaves: it ends as soon as it does not cut anything off. */
  drain(now: number): void;
  /** Gone while its socket is not read; `ended`: by FIN. */
  clientVanished(ended: boolean): void;
}

/** A port at which clients connect: counts them, looks at their deadlines, and finds those that vanished. */
export class ClientPort {
  readonly #scheme: string;
  readonly #server: Server;
  readonly #connectionsMax: number;
  readonly #clients = new Set<PortClient>();
  readonly #vanished = new VanishedClients();
  #sweep: NodeJS.Timeout | null = null;

  /** `event` is the server's name for a connection that is ready; `accept` makes a client of its socket and calls `gone` once. */
  constructor(
    scheme: string,
    server: Server,
    event: 'connection' | 'secureConnection',
    connectionsMax: number,
    accept: (socket: Socket, gone: (client: PortClient) => void) => PortClient,
  ) {
    this.#scheme = scheme;
    this.#server = server;
    this.#connectionsMax = connectionsMax;
    const gone = (client: PortClient): void => {
      this.#clients.delete(client);
    };
    server.on(event, (socket: Socket) => {
      if (this.#clients.size >= this.#connectionsMax) socket.destroy();
      else this.#clients.add(accept(socket, gone));
    });
  }

  /** Returns the URL that it listens at. */
  async listen(host: string, port: number): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog: BACKLOG }, () => {
        this.#server.off('error', reject);
        // A connection could not be accepted (no file descriptors, no memory): that client's loss, not the node's end.
        this.#server.on('error', () => {});
        resolve();
      });
    });
    this.#sweep = setInterval(() => this.#sweepDeadlines(), SWEEP_MS);
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no address bound');
    return `${this.#scheme}://${formatHostPort({ host: address.address, port: address.port })}`;
  }

  get connections(): number {
    return this.#clients.size;
  }

  /** Accepts nobody any more; connections end as soon as that cuts nothing off. */
  drain(): void {
    this.#server.close();
    const now = performance.now();
    for (const client of this.#clients) client.drain(now);
  }

  close(): void {
    this.#server.close();
    if (this.#sweep !== null) clearInterval(this.#sweep);
    for (const client of this.#clients) client.socket.destroy();
  }

  #sweepDeadlines(): void {
    const now = performance.now();
    let paused: PortClient[] | null = null;
    for (const client of this.#clients) {
      if (client.deadline <= now) client.timeOut(now);
      else if (client.paused) {
        paused ??= [];
        paused.push(client);
      }
    }
    if (paused !== null) this.#vanished.look(paused);
  }
}

/** `::ffff:192.0.2.1` is an IPv4 client at a dual-stack socket; the zone of a link-local one (`fe80::1%eth0`) means something here only. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice(7);
  const zone = address.indexOf('%');
  return zone === -1 ? address : address.slice(0, zone);
}
