/** What clients do in a soak: each kind of visit once, with a check of what came of it. */
import { once } from 'node:events';
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Random } from '../../e2e/chaos/random.ts';
import { type Place, Route } from './place.ts';

const MEGABYTE = 1_048_576;
/** Nothing takes as long; what does is a failure instead of a soak that hangs. */
const VISIT_MS_MAX = 20_000;
const HTTP2_REQUESTS = 10;
/** A client that leaves does so within this time. */
const LEAVES_WITHIN_MS = 300;
const MESSAGE = Buffer.alloc(100, 'x');
/** RFC 6455: binary, 100 bytes, masked with zeros; its echo comes without the mask. */
const MESSAGE_FRAME = Buffer.concat([Buffer.from([0x82, 0x80 | MESSAGE.length, 0, 0, 0, 0]), MESSAGE]);
const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n';

type ApplicationResponse = { readonly status: number | undefined; readonly bytes: number };

export class Visits {
  readonly #place: Place;
  readonly #random: Random;
  #agent = new Agent({ keepAlive: true });

  constructor(place: Place, random: Random) {
    this.#place = place;
    this.#random = random;
  }

  /** No client keeps a connection, until the next visit. */
  rest(): void {
    this.#agent.destroy();
    this.#agent = new Agent({ keepAlive: true });
  }

  // Each returns how many requests (or connections, for TCP) it made.

  async keptConnection(): Promise<number> {
    return expect(await this.#ask(Route.WEB, '/'), 200);
  }

  async ownConnection(): Promise<number> {
    return expect(await this.#ask(Route.WEB, '/', { agent: false }), 200);
  }

  /** At either node, by chance: the slots go where they are wanted. */
  async movedSlot(): Promise<number> {
    return expect(await this.#ask(Route.MOVED, '/'), 200);
  }

  async largeAnswer(): Promise<number> {
    return expect(await this.#ask(Route.WEB, '/1m'), 200, MEGABYTE);
  }

  async smallBody(): Promise<number> {
    return expect(await this.#ask(Route.WEB, '/', { method: 'POST' }, Buffer.alloc(2_000)), 200);
  }

  async largeBody(): Promise<number> {
    return expect(await this.#ask(Route.WEB, '/', { method: 'POST' }, Buffer.alloc(MEGABYTE)), 200);
  }

  /** Names that nobody has heard of, each another one. */
  async unknownHost(): Promise<number> {
    const name = Math.floor(this.#random.next() * 2 ** 32).toString(36);
    return expect(await this.#ask(`${name}.stranger.test`, `/${name}`), 404);
  }

  async heldInVain(): Promise<number> {
    return expect(await this.#ask(Route.HELD, '/'), 503);
  }

  async heldAndLeaves(): Promise<number> {
    return this.#leave(Route.HELD, '', null);
  }

  /** Within the answer, or within its own body. */
  async leaves(): Promise<number> {
    const how = this.#random.pick(['waiting', 'reading', 'writing'] as const);
    if (how === 'waiting') return this.#leave(Route.WEB, 'GET /slow', null);
    if (how === 'reading') return this.#leave(Route.WEB, 'GET /1m', null);
    return this.#leave(Route.WEB, 'POST /', MEGABYTE);
  }

  async webSocket(): Promise<number> {
    const socket = await open(this.#node());
    socket.write(`GET / HTTP/1.1\r\nHost: ${Route.WEB}\r\n${UPGRADE}`);
    await received(socket, 1);
    for (let i = 0; i < 5; i++) {
      socket.write(MESSAGE_FRAME);
      await received(socket, 2 + MESSAGE.length);
    }
    // Half of them say nothing when they leave.
    if (this.#random.next() < 0.5) socket.resetAndDestroy();
    else socket.end();
    return 1;
  }

  async tcp(): Promise<number> {
    const socket = await open(this.#place.echo);
    for (let i = 0; i < 5; i++) {
      socket.write(MESSAGE);
      await received(socket, MESSAGE.length);
    }
    if (this.#random.next() < 0.5) socket.resetAndDestroy();
    else socket.end();
    return 1;
  }

  async http2(): Promise<number> {
    const session = connectHttp2(`http://127.0.0.1:${this.#node()}`);
    try {
      session.on('error', () => {});
      session.setTimeout(VISIT_MS_MAX, () => session.destroy(new Error('HTTP/2: no answer')));
      const ask = async (): Promise<void> => {
        const stream = session.request({ ':authority': Route.WEB, ':path': '/' }).resume();
        const [headers] = await once(stream, 'response');
        if (headers[':status'] !== 200) throw new Error(`HTTP/2: ${headers[':status']}`);
        if (!stream.closed) await once(stream, 'close');
      };
      await Promise.all(Array.from({ length: HTTP2_REQUESTS }, ask));
      return HTTP2_REQUESTS;
    } finally {
      session.destroy();
    }
  }

  #node(): number {
    return this.#random.pick(this.#place.nodes);
  }

  #ask(host: string, path: string, options: RequestOptions = {}, body?: Buffer): Promise<ApplicationResponse> {
    return new Promise((resolve, reject) => {
      const to = { host: '127.0.0.1', port: this.#node(), path, agent: this.#agent, headers: { host }, timeout: VISIT_MS_MAX };
      const asked = request({ ...to, ...options }, (answer: IncomingMessage) => {
        let bytes = 0;
        answer.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
        });
        answer.on('end', () => resolve({ status: answer.statusCode, bytes }));
        answer.on('error', reject);
      });
      asked.on('timeout', () => asked.destroy(new Error('no answer')));
      asked.on('error', reject).end(body);
    });
  }

  /** `bodyBytes`: it sends half of what it has announced. */
  async #leave(host: string, line: string, bodyBytes: number | null): Promise<number> {
    const socket = await open(this.#node());
    const length = bodyBytes === null ? '' : `Content-Length: ${bodyBytes}\r\n`;
    socket.write(`${line === '' ? 'GET /' : line} HTTP/1.1\r\nHost: ${host}\r\n${length}\r\n`);
    if (bodyBytes !== null) socket.write(Buffer.alloc(bodyBytes / 2));
    await pause(this.#random.between(0, LEAVES_WITHIN_MS));
    if (this.#random.next() < 0.5) socket.resetAndDestroy();
    else socket.destroy();
    return 1;
  }
}

function expect({ status, bytes }: ApplicationResponse, wanted: number, wantedBytes = bytes): number {
  if (status !== wanted) throw new Error(`answered ${status} instead of ${wanted}`);
  if (bytes !== wantedBytes) throw new Error(`${bytes} bytes instead of ${wantedBytes}`);
  return 1;
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.setTimeout(VISIT_MS_MAX, () => socket.destroy());
  await once(socket, 'connect');
  return socket.on('error', () => {});
}

/** Resolves when at least so many bytes have come since it was called. */
function received(socket: Socket, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let missing = bytes;
    const over = (): void => {
      socket.off('data', count).off('close', broke);
    };
    const count = (chunk: Buffer): void => {
      missing -= chunk.length;
      if (missing > 0) return;
      over();
      resolve();
    };
    const broke = (): void => {
      over();
      reject(new Error('the connection was closed'));
    };
    socket.on('data', count).on('close', broke);
  });
}
