/**
 * The socket at which an application says how much load it takes, in HTTP/1.1: for applications that do not speak HTTP to their clients, and
 * for those that want to say it before they answer. Only the user of the linker may connect.
 */

import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { guard, internalError, unawaited } from '../boundary.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { openApi } from './control-openapi.ts';
import { type BoundPlace, bindControl, type ControlPlace } from './control-path.ts';
import type { InstanceControl } from './instance-control.ts';
import { readLimit } from './limit.ts';

const CONNECTIONS_MAX = 64;
/** A number has a few. */
const BODY_BYTES_MAX = 64;
const HEAD_BYTES_MAX = 8_192;
const REQUEST_TIMEOUT_MS = 5_000;
const LIMITS = { maxHeaderSize: HEAD_BYTES_MAX, headersTimeout: REQUEST_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS } as const;

const DOMAIN = { where: 'application', fail: () => {} } as const;

interface Answer {
  readonly status: number;
  readonly body: object;
  readonly allow?: string;
}

export class Control {
  /** The value of PULLPROXY_CONTROL for the application. */
  readonly said: string;
  readonly #server: Server;
  readonly #place: BoundPlace;
  /** Made for the first connection: most applications never say a word here, and Node's HTTP takes 3 MB. */
  #http: HttpServer | null = null;
  #instance: InstanceControl | null = null;

  private constructor(server: Server, place: BoundPlace) {
    this.said = place.said;
    this.#server = server;
    this.#place = place;
    server.on(
      'connection',
      guard(DOMAIN, (socket: Socket) => {
        this.#http ??= this.#makeHttp();
        this.#http.emit('connection', socket);
      }),
    );
    server.on(
      'error',
      guard(DOMAIN, (error: Error) => internalError('application', error)),
    );
  }

  /** @throws ConfigError when the place can't be had. */
  static async open(place: ControlPlace): Promise<Control> {
    const server = createServer();
    server.maxConnections = CONNECTIONS_MAX;
    const bound = await bindControl(server, place);
    // The application keeps the process alive, not its socket.
    server.unref();
    return new Control(server, bound);
  }

  /** At a place of its own. Undefined: there is none, and the application does without, as before there was a control. */
  static async openOwn(log: Log): Promise<Control | undefined> {
    try {
      return await Control.open('own');
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'the application gets no control socket');
      return undefined;
    }
  }

  /** Requests are answered from now on. */
  serve(instance: InstanceControl): void {
    this.#instance = instance;
  }

  close(): void {
    this.#server.close(() => this.#place.remove());
    this.#http?.closeAllConnections();
    this.#http?.close();
  }

  #makeHttp(): HttpServer {
    const http = process.getBuiltinModule('node:http').createServer(LIMITS);
    http.on(
      'request',
      guard(DOMAIN, (request: IncomingMessage, response: ServerResponse) => unawaited('application', this.#serve(request, response))),
    );
    // From then on it counts its connections, and their times.
    http.emit('listening');
    return http;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, body, allow } = await this.#answer(request);
    response.writeHead(status, {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      ...(allow === undefined ? {} : { allow }),
      // The rest of a body that was not read must not be taken for the next request.
      ...(request.complete ? {} : { connection: 'close' }),
    });
    response.end(`${JSON.stringify(body)}\n`);
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const instance = this.#instance;
    if (instance === null) return { status: 503, body: { error: 'the linker starts' } };
    // A foreign web page must not make a browser say it, where the control listens at an address.
    if (request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined)
      return { status: 403, body: { error: 'this is not for browsers' } };
    const path = (request.url ?? '').split('?', 1)[0];
    switch (path) {
      case '/':
        return on(request, 'GET', async () => ({ status: 200, body: await instance.settledPicture() }));
      case '/openapi.json':
        return on(request, 'GET', () => ({ status: 200, body: openApi(instance.picture.version) }));
      case '/concurrency':
        return on(request, 'PUT', () => setLimit(request, instance));
      case '/start':
        return on(request, 'POST', () =>
          instance.startAnother()
            ? { status: 202, body: instance.picture }
            : { status: 503, body: { error: 'no node is there to ask for another instance' } },
        );
      case '/leave':
        return on(request, 'POST', async () => {
          await instance.leave();
          return { status: 202, body: instance.picture };
        });
      default:
        return { status: 404, body: { error: `there is no ${String(path).slice(0, 100)}: see /openapi.json` } };
    }
  }
}

function on(request: IncomingMessage, method: 'GET' | 'PUT' | 'POST', answer: () => Answer | Promise<Answer>): Answer | Promise<Answer> {
  if (request.method === method || (method === 'GET' && request.method === 'HEAD')) return answer();
  return { status: 405, body: { error: `expected ${method}` }, allow: method };
}

async function setLimit(request: IncomingMessage, instance: InstanceControl): Promise<Answer> {
  const text = await readBody(request);
  if (text === null) return { status: 413, body: { error: `expected a number or auto, at most ${BODY_BYTES_MAX} bytes` } };
  const limit = text.trim() === 'auto' ? 'auto' : readLimit(text);
  if (limit === null) return { status: 400, body: { error: `"${text}": expected a whole number, or auto` } };
  await instance.limitTo(limit);
  return { status: 200, body: instance.picture };
}

/** Null: it is too long, or was broken off: a part of a number is another number. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  let text = '';
  request.setEncoding('latin1');
  try {
    // The response needs the connection.
    for await (const part of request.iterator({ destroyOnReturn: false })) {
      text += String(part);
      if (text.length > BODY_BYTES_MAX) return null;
    }
  } catch {
    return null;
  }
  return request.complete ? text : null;
}
