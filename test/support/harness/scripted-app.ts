/** An application that answers with given bytes at given moments: a TCP server whose every connection the test plays. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { eventually } from '../eventually.ts';
import type { HttpMessage } from '../http-message.ts';
import { RawSocket } from '../raw-socket.ts';

/** An answer with a length; `headers` are lines with their CRLF. */
export function ok(body: string | Buffer = '', headers = ''): Buffer {
  const content = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
  return Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${headers}Content-Length: ${content.length}\r\n\r\n`, 'latin1'), content]);
}

const apps = new Set<ScriptedApp>();

export class ScriptedApp {
  readonly connections: RawSocket[] = [];
  readonly #server: Server;
  #taken = 0;

  /** `script` is called for each connection; without it the test takes them with `next()`. */
  private constructor(script: (connection: RawSocket) => unknown) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket: Socket) => {
      const connection = new RawSocket(socket);
      this.connections.push(connection);
      void (async () => script(connection))().catch(() => connection.socket.destroy());
    });
  }

  static async listen(script: (connection: RawSocket) => unknown = () => {}): Promise<ScriptedApp> {
    const app = new ScriptedApp(script);
    apps.add(app);
    app.#server.listen(0, '127.0.0.1');
    await once(app.#server, 'listening');
    return app;
  }

  /** Answers each request with what `answer` says, on connections that are kept. */
  static serving(answer: (request: HttpMessage) => string | Buffer): Promise<ScriptedApp> {
    return ScriptedApp.listen(async (connection) => {
      for (;;) connection.send(answer(await connection.request()));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The next connection that nobody has taken yet. */
  async next(): Promise<RawSocket> {
    await eventually('another connection to the application', () => this.connections.length > this.#taken);
    return this.connections[this.#taken++] as RawSocket;
  }

  close(): void {
    this.#server.close();
    for (const { socket } of this.connections) socket.destroy();
  }
}

/** For `afterEach`. */
export function closeApps(): void {
  for (const app of apps) app.close();
  apps.clear();
}
