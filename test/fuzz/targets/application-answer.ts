import assert from 'node:assert';
import { once } from 'node:events';
import { Agent, request as ask, type IncomingMessage } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { Stage, until } from '../stage.ts';
import { latin1, piecesOf, type Target } from '../target.ts';

const ROUTE = 'app.test';
const HONEST = 'honest';
/** Turns between two pieces of an answer, and before its end. */
const PIECE_TURNS = 2;
const PIECES_MAX = 40;

/** How an answer ended for the one who asked. */
interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Its end was said, whatever the sender's framing is. */
  readonly whole: boolean;
  /** The node's own answer, not the application's. */
  readonly own: boolean;
}

/** What belongs to one connection, or is the node's to say. */
const REWRITTEN = new Set([
  ...['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'proxy-connection', 'te', 'trailer', 'via', 'date', 'server-timing'],
  ...['proxy-authenticate', 'http2-settings', 'content-length', ':status', 'pullproxy-concurrency'],
]);

/** Answers `/evil` with the input, cut as it says, and everything else as it should. */
class EvilApp {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  evil: Buffer = Buffer.alloc(0);

  private constructor() {
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('end', () => socket.end());
      socket.once('close', () => this.#sockets.delete(socket));
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
          const head = text.slice(0, end);
          text = text.slice(end + 4);
          if (head.includes(' /evil ')) void this.#play(socket);
          else socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${HONEST.length}\r\n\r\n${head.startsWith('HEAD') ? '' : HONEST}`);
        }
      });
    });
  }

  static async listen(): Promise<EvilApp> {
    const app = new EvilApp();
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

  async #play(socket: Socket): Promise<void> {
    const { evil } = this;
    const pieces = piecesOf(evil);
    const cut = pieces.length > PIECES_MAX ? [evil] : pieces;
    for (const piece of cut) {
      if (socket.destroyed) return;
      socket.write(piece);
      for (let i = 0; i < PIECE_TURNS; i++) await turn();
    }
    for (let i = 0; i < 4 * PIECE_TURNS; i++) await turn();
    if (!socket.destroyed) endAs(socket, evil.length % 3);
  }
}

function endAs(socket: Socket, how: number): void {
  if (how === 0) socket.end();
  else if (how === 1) socket.resetAndDestroy();
  // Kept, for whoever waits for more.
  else setTimeout(() => socket.end(), 20);
}

class Play {
  readonly stage: Stage;
  readonly app: EvilApp;
  readonly #agent = new Agent({ keepAlive: false });
  #session: ClientHttp2Session | null = null;

  private constructor(stage: Stage, app: EvilApp) {
    this.stage = stage;
    this.app = app;
  }

  static async open(): Promise<Play> {
    const app = await EvilApp.listen();
    return new Play(await Stage.open({ apps: { [ROUTE]: app.port } }), app);
  }

  async close(): Promise<void> {
    this.#session?.destroy();
    this.app.close();
    await this.stage.close();
  }

  async run(bytes: Buffer): Promise<void> {
    this.app.evil = bytes;
    const method = bytes.length % 7 === 0 ? 'HEAD' : 'GET';
    const meant = await this.#http1(this.app.port, '/evil', method);
    const http1 = await this.#http1(this.stage.port, '/evil', method);
    const http2 = await this.#http2('/evil', method);
    // Lines that end with LF alone are read here, as nginx and HAProxy read them, and not by Node's client.
    if (meant !== null || !/(^|[^\r])\n/.test(bytes.toString('latin1'))) {
      judge('HTTP/1.1', http1, meant);
      judge('HTTP/2', http2, meant);
    }
    if (http1 !== null && http2 !== null && http1.whole && http2.whole && !http1.own && !http2.own && http2.status !== 205)
      assert.equal(http2.body, http1.body);
    // The next client gets its own response.
    for (let i = 0; i < 2; i++) {
      const next = await this.#http1(this.stage.port, '/next', 'GET');
      assert.deepEqual([next?.status, next?.body], [200, HONEST], 'the next client gets its own answer');
    }
    this.#session?.close();
    this.#session = null;
    await this.stage.atRest();
  }

  /** Null: no answer at all. */
  async #http1(port: number, path: string, method: string): Promise<Got | null> {
    let got: Got | null | undefined;
    const outgoing = ask({ port, host: '127.0.0.1', path, method, headers: { host: ROUTE }, agent: this.#agent });
    outgoing.on('error', () => {
      got ??= null;
    });
    outgoing.on('upgrade', (message, socket) => {
      socket.destroy();
      got = gotOf(message, '', false);
    });
    outgoing.on('response', (message) => {
      let body = '';
      message.setEncoding('latin1').on('data', (text: string) => {
        body += text;
      });
      message.on('error', () => {});
      message.on('close', () => {
        got = gotOf(message, body, message.complete && isEnded(message));
      });
    });
    outgoing.end();
    await until(() => (got === undefined ? 'a client of HTTP/1.1 waits for an answer for ever' : null));
    outgoing.destroy();
    return got as Got | null;
  }

  async #http2(path: string, method: string): Promise<Got | null> {
    if (this.#session === null || this.#session.destroyed || this.#session.closed) {
      this.#session = connectHttp2(`http://127.0.0.1:${this.stage.port}`);
      this.#session.on('error', () => {});
    }
    const stream = this.#session.request({ ':method': method, ':path': path, ':authority': ROUTE });
    let [body, headers, ended, closed, endStream]: [string, IncomingHttpHeaders | null, boolean, boolean, boolean] = [
      '',
      null,
      false,
      false,
      false,
    ];
    stream.on('error', () => {});
    stream.on('response', (given, flags) => {
      headers = given;
      endStream = (flags & 1) !== 0;
    });
    stream.setEncoding('latin1').on('data', (text: string) => {
      body += text;
    });
    stream.on('end', () => {
      ended = true;
    });
    stream.on('close', () => {
      closed = true;
    });
    stream.end();
    await until(() => (closed ? null : 'a client of HTTP/2 waits for an answer for ever'));
    if (headers === null) return null;
    const given = headers as IncomingHttpHeaders;
    return {
      status: Number(given[':status']),
      headers: given,
      body,
      whole: (ended || endStream) && stream.rstCode === 0,
      own: isOwn(given),
    };
  }
}

function gotOf(message: IncomingMessage, body: string, whole: boolean): Got {
  return { status: message.statusCode ?? 0, headers: message.headers, body, whole, own: isOwn(message.headers) };
}

/** A body that ends with its connection is whole only if that ended in order. */
function isEnded(message: IncomingMessage): boolean {
  return message.readableEnded && message.errored === null;
}

function isOwn(headers: IncomingHttpHeaders): boolean {
  return String(headers['proxy-status'] ?? '').includes('pullproxy; error=');
}

/** What a client gets as whole is what the application said, as Node's own client reads it. */
function judge(what: string, got: Got | null, meant: Got | null): void {
  if (got === null || !got.whole || got.own) return;
  // It has no content, whatever of it the application says: RFC 9110 section 15.3.6.
  if (got.status === 205 && what === 'HTTP/2') return;
  assert(meant !== null, `${what}: an answer where Node's client reads none, ${got.status}`);
  assert(meant.whole, `${what}: an answer that is not whole becomes whole`);
  assert.equal(got.status, meant.status, `${what}: the status`);
  assert.equal(got.body, meant.body, `${what}: the body`);
  for (const [name, value] of Object.entries(got.headers)) {
    if (REWRITTEN.has(name)) continue;
    assert.equal(plain(value), plain(meant.headers[name]), `${what}: a header that the application did not send so: ${name.slice(0, 30)}`);
  }
  for (const name of Object.keys(meant.headers)) {
    if (!REWRITTEN.has(name) && !namedByConnection(meant, name))
      assert(Object.hasOwn(got.headers, name), `${what}: a header is missing: ${name.slice(0, 30)}`);
  }
}

function namedByConnection({ headers }: Got, name: string): boolean {
  return String(headers.connection ?? '')
    .toLowerCase()
    .includes(name);
}

function plain(value: string | string[] | undefined): string {
  return String(value)
    .replace(/\s*,\s*/g, ',')
    .trim();
}

let play: Play | null = null;

const OK = 'HTTP/1.1 200 OK\r\n';

export const APPLICATION_ANSWER: Target = {
  name: 'application-answer',
  sources: ['/src/node/', '/src/linker/'],
  pace: 'sockets',
  lines: true,
  words: [
    ...[
      '\r\n',
      '\r\n\r\n',
      '\n',
      '\0',
      ' ',
      ':',
      ',',
      ';',
      '0\r\n',
      '5\r\nhello\r\n',
      '0\r\n\r\n',
      'ffffffffffffffff\r\n',
      '5;a=b\r\n',
      '5 \r\n',
    ],
    ...[
      'HTTP/1.1 ',
      'HTTP/1.0 ',
      'RTSP/1.0 ',
      'ICE/1.0 ',
      'HTTP/2.0 ',
      '100 Continue\r\n\r\n',
      '101 x\r\n',
      '103 Early Hints\r\n',
      '999 x\r\n',
      '204 x\r\n',
    ],
    ...[
      '205 x\r\n',
      '304 x\r\n',
      '200 OK\r\n',
      'Content-Length: 5\r\n',
      'Content-Length: 0\r\n',
      'Transfer-Encoding: chunked\r\n',
      'Transfer-Encoding: ',
    ],
    ...[
      'Connection: close\r\n',
      'Connection: keep-alive\r\n',
      'Connection: upgrade\r\n',
      'Upgrade: h2c\r\n',
      'TE: trailers\r\n',
      'HTTP2-Settings: AA\r\n',
    ],
    ...[
      'constructor: a\r\n',
      '__proto__: a\r\n',
      'toString: a\r\n',
      'Set-Cookie: a\r\n',
      'X-A: b\r\n',
      'x-a: \xe9\r\n',
      `X-L: ${'a'.repeat(300)}\r\n`,
    ],
    ...[
      'Trailer: X-Sum\r\n',
      'X-Sum: 1\r\n',
      'Host: a\r\n',
      'Authorization: a\r\n',
      'X-Forwarded-For: 1.2.3.4\r\n',
      'Keep-Alive: timeout=5\r\n',
      'hello',
    ],
    ...[
      'Pullproxy-Concurrency: 1\r\n',
      'Date: x\r\n',
      'Proxy-Status: a\r\n',
      ':status: 200\r\n',
      'x y: a\r\n',
      'X-A : a\r\n',
      ' folded\r\n',
      'gzip, chunked',
    ],
  ],
  seeds: [
    `${OK}Content-Length: 5\r\n\r\nhello`,
    `${OK}Content-Length: 5\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nVary: a\r\nVary: b\r\n\r\nhello`,
    `${OK}Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n`,
    `${OK}Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n`,
    `${OK}Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`,
    `${OK}Connection: close\r\n\r\nhello`,
    'HTTP/1.0 200 OK\r\n\r\nhello',
    'HTTP/1.1 204 No Content\r\n\r\n',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n',
    'HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n',
    `HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n${OK}Content-Length: 0\r\n\r\n`,
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${OK}Content-Length: 5\r\n\r\nhello`,
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello',
    'RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    `${OK}Content-Length: 50\r\n\r\nhello`,
    `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`,
  ].map(latin1),
  async run(bytes) {
    play ??= await Play.open();
    await play.run(bytes);
  },
  async restart() {
    await play?.close();
    play = null;
  },
};
