/** An application under the test's control: it accepts connections and does with each what the test says. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { HostPort } from '../../../src/config/host-port.ts';
import { eventually } from '../eventually.ts';

const apps = new Set<TcpApp>();

/** For `afterEach`. */
export function closeTcpApps(): void {
  for (const app of apps) app.close();
  apps.clear();
}

/** A connection as the application sees it. */
export class AppPeer {
  readonly socket: Socket;
  readonly number: number;
  text = '';
  bytes = 0;
  /** The other side has sent its FIN. */
  ended = false;
  closed = false;

  constructor(socket: Socket, number: number) {
    this.socket = socket;
    this.number = number;
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      if (this.text.length < 100_000) this.text += chunk.toString('latin1');
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
  }

  /** RST. Not on top of a FIN that is under way: libuv refuses that (EINVAL), and Node then never closes the socket. */
  breakOff(): void {
    if (this.socket.writableEnded) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  async received(text: string): Promise<void> {
    await eventually(`connection ${this.number} receives ${text}; it has ${this.text}`, () => this.text.includes(text));
  }

  async end(): Promise<void> {
    await eventually(`the end of connection ${this.number}`, () => this.ended);
  }

  /** An HTTP answer that can be followed by another. */
  answer(body = 'ok'): void {
    this.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  }
}

export class TcpApp {
  /** Every connection that was ever accepted and sent something, or outlived its probe. */
  readonly peers: AppPeer[] = [];
  /** Connections, those that probe included. */
  open = 0;
  /** The most at once that it had to do with: those that it had not ended itself. */
  engagedMax = 0;
  accepted = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #wanted = 0;
  #engaged = 0;

  /** `begin` is called for each connection; half-closed ones stay open until the test closes them. */
  private constructor(begin: (peer: AppPeer) => void) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.accepted++;
      this.open++;
      this.engagedMax = Math.max(this.engagedMax, ++this.#engaged);
      this.#sockets.add(socket);
      let engaged = true;
      const disengage = (): void => {
        if (engaged) this.#engaged--;
        engaged = false;
      };
      socket.once('finish', disengage);
      socket.once('close', disengage);
      socket.on('close', () => {
        this.open--;
        this.#sockets.delete(socket);
      });
      const peer = new AppPeer(socket, this.peers.length + 1);
      // A probe ends without a byte; it is answered by our own end, as applications do.
      socket.once('end', () => {
        if (peer.bytes === 0) socket.end();
      });
      socket.once('data', () => this.peers.push(peer));
      begin(peer);
    });
  }

  static async start(begin: (peer: AppPeer) => void = () => {}, port = 0): Promise<TcpApp> {
    const app = new TcpApp(begin);
    apps.add(app);
    await app.listen(port);
    return app;
  }

  async listen(port = this.#wanted): Promise<void> {
    await once(this.#server.listen(port, '127.0.0.1'), 'listening');
    this.#wanted = (this.#server.address() as AddressInfo).port;
  }

  /** Refuses new connections; those that are open stay. */
  stopListening(): void {
    this.#server.close();
  }

  get address(): HostPort {
    return { host: '127.0.0.1', port: this.#wanted };
  }

  /** The `number`th connection on which something was sent, waited for. */
  async peer(number: number): Promise<AppPeer> {
    await eventually(`${number} connections with data; ${this.peers.length} are`, () => this.peers.length >= number);
    return this.peers[number - 1] as AppPeer;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
