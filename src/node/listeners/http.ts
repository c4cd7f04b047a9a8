import { createServer, type Server, type Socket } from 'node:net';
import { ClientConnection, type HttpService } from '../http1/connection.ts';
import { VanishedClients } from './vanished.ts';

/** How often deadlines of connections are looked at: their resolution. */
const SWEEP_MS = 250;
const BACKLOG = 4_096;

/** A port on which clients speak HTTP/1.1 in the clear. */
export class HttpListener {
  readonly #service: HttpService;
  readonly #connectionsMax: number;
  readonly #connections = new Set<ClientConnection>();
  readonly #vanished = new VanishedClients();
  readonly #server: Server;
  #sweep: NodeJS.Timeout | null = null;

  constructor(service: HttpService, connectionsMax: number) {
    this.#service = service;
    this.#connectionsMax = connectionsMax;
    // Half-open sockets: a tunnel passes half-closes on.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
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
    return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Accepts nobody any more; connections end when they are idle for a moment, or with their current answer. */
  drain(): void {
    this.#server.close();
    const now = performance.now();
    for (const connection of this.#connections) connection.drain(now);
  }

  close(): void {
    this.#server.close();
    if (this.#sweep !== null) clearInterval(this.#sweep);
    for (const connection of this.#connections) connection.socket.destroy();
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= this.#connectionsMax) {
      socket.resetAndDestroy();
      return;
    }
    const from = { remoteAddress: plainAddress(socket.remoteAddress), proto: 'http' as const };
    this.#connections.add(new ClientConnection(socket, from, this.#service, (gone) => this.#connections.delete(gone)));
  }

  #sweepDeadlines(): void {
    const now = performance.now();
    let paused: ClientConnection[] | null = null;
    for (const connection of this.#connections) {
      if (connection.deadline <= now) connection.timeOut(now);
      else if (connection.paused) {
        paused ??= [];
        paused.push(connection);
      }
    }
    if (paused !== null) this.#vanished.look(paused);
  }
}

/** `::ffff:192.0.2.1` is an IPv4 client at a dual-stack socket. */
function plainAddress(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
