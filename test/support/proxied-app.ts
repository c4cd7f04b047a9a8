/** An application that is told by PROXY headers whom it talks to, and tells its clients. */
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';
import type { ProxyVersion } from '../../src/config/proxy-protocol.ts';
import type { ClientEnds } from '../../src/link/client-ends.ts';
import { readProxyHeader } from '../../src/node/listeners/proxy-header.ts';
import type { Certificate } from './certificate.ts';

/** The protocol after the header. `tls`: that, and `line` within it. `line`: it speaks first, and sends back what it gets. */
export type Speech = 'http' | 'h2c' | 'line' | Certificate;

const apps = new Set<ProxiedApp>();

/** For `afterEach`. */
export function closeProxiedApps(): void {
  for (const app of apps) app.close();
  apps.clear();
}

export class ProxiedApp {
  /** Headers that named nobody. */
  local = 0;
  /** Headers that named a client: as many as there were connections of clients. */
  named = 0;
  /** Bytes that were no header. */
  readonly faults: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** By the port of the connection that the header came on. */
  readonly #clients = new Map<number | undefined, ClientEnds | null>();

  private constructor(version: ProxyVersion, speech: Speech) {
    const speak = this.#speak(speech);
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket, version, speak));
    apps.add(this);
  }

  static async listen(version: ProxyVersion, speech: Speech): Promise<ProxiedApp> {
    const app = new ProxiedApp(version, speech);
    await once(app.#server.listen(0, '127.0.0.1'), 'listening');
    return app;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket, version: ProxyVersion, speak: (socket: Socket) => void): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
    let came = Buffer.alloc(0);
    const read = (): void => {
      for (let piece = socket.read() as Buffer | null; piece !== null; piece = socket.read() as Buffer | null) {
        came = Buffer.concat([came, piece]);
      }
      const header = readProxyHeader(version, came);
      if (header.kind === 'incomplete') return;
      socket.off('readable', read);
      if (header.kind === 'malformed') {
        this.faults.push(came.toString('latin1'));
        socket.destroy();
        return;
      }
      if (header.client === null) this.local++;
      else this.named++;
      this.#clients.set(socket.remotePort, header.client);
      if (came.length > header.bytes) socket.unshift(came.subarray(header.bytes));
      speak(socket);
    };
    socket.on('readable', read);
  }

  #speak(speech: Speech): (socket: Socket) => void {
    if (speech === 'line') return (socket) => this.#line(socket);
    if (speech === 'http') {
      const server = createHttp((request, response) => response.end(this.#told(request.socket)));
      server.on('upgrade', (_request, socket: Socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: line\r\n\r\n');
        this.#line(socket);
      });
      return (socket) => server.emit('connection', socket);
    }
    if (speech === 'h2c') {
      const server = createHttp2((request, response) => response.end(this.#told(request.socket)));
      return (socket) => server.emit('connection', socket);
    }
    const server = createTls({ cert: speech.cert, key: speech.key }, (socket) => this.#line(socket));
    return (socket) => server.emit('connection', socket);
  }

  #line(socket: Socket): void {
    socket.write(`${this.#told(socket)}\n`);
    socket.pipe(socket);
  }

  #told({ remotePort }: Pick<Socket, 'remotePort'>): string {
    return JSON.stringify(this.#clients.get(remotePort) ?? null);
  }
}
