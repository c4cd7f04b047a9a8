/** Applications that write down what they were asked, read by Node's own parsers, and answer in all the ways there are. */
import { once } from 'node:events';
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { performServerHandshake, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { Type } from '../support/http2-frames.ts';
import { END_STREAM, type Field, FrameScanner, PREFACE } from './http2/script.ts';

/** One request as an application understood it. */
export interface GotRequest {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly Field[];
  readonly body: Buffer[];
  /** Names and values. */
  trailers: readonly Field[];
  /** The client has said that this is all of it. */
  complete: boolean;
}

/** The field by which a request is known again, wherever it turns up. */
export const TAG = 'x-fuzz';

export interface MeaningApp {
  readonly port: number;
  readonly got: GotRequest[];
  /** What the application could not read at all. */
  readonly unreadable: string[];
  close(): void;
}

const LARGE = Buffer.alloc(200_000, 'l');
/** How a connection that is cut looks from here, and a method that Node does not know. Both are allowed. */
const CUT_OFF = new Set(['ECONNRESET', 'EPIPE', 'HPE_INVALID_EOF_STATE', 'HPE_INVALID_METHOD']);

export function tagOf({ fields }: Pick<GotRequest, 'fields'>): string {
  return fields.find(([name]) => name.toLowerCase() === TAG)?.[1] ?? '';
}

export async function startHttpApp(): Promise<MeaningApp> {
  const got: GotRequest[] = [];
  const unreadable: string[] = [];
  const server = createHttp({ maxHeaderSize: 131_072, keepAliveTimeout: 60_000 }, (request, response) => {
    const record: GotRequest = {
      method: request.method ?? '',
      target: request.url ?? '',
      fields: pairs(request.rawHeaders),
      body: [],
      trailers: [],
      complete: false,
    };
    got.push(record);
    request.on('error', () => {});
    response.on('error', () => {});
    request.on('data', (chunk: Buffer) => record.body.push(chunk));
    request.on('end', () => {
      record.complete = request.complete;
      record.trailers = pairs(request.rawTrailers);
    });
    answerHttp(record, request, response);
  });
  server.on('checkContinue', (request, response) => {
    response.writeContinue();
    server.emit('request', request, response);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (!CUT_OFF.has(error.code ?? '')) unreadable.push(String(error.code ?? error.message));
    socket.destroy();
  });
  server.on('upgrade', (_request, socket) => socket.destroy());
  server.on('connect', (_request, socket) => socket.destroy());
  return listening(server, got, unreadable);
}

function answerHttp(record: GotRequest, request: IncomingMessage, response: ServerResponse): void {
  const words = `echo ${tagOf(record)}`;
  const whenRead = (answer: () => void): void => void request.once('end', answer);
  switch (record.target.split('?')[0]) {
    case '/early':
      response.end(words);
      return;
    case '/hang':
      return;
    case '/cut':
      response.write(words);
      setImmediate(() => request.socket.destroy());
      return;
    case '/large':
      response.write(words);
      response.end(LARGE);
      return;
    case '/trailers':
      whenRead(() => {
        response.writeHead(200, { trailer: 'x-sum' });
        response.write(words);
        response.addTrailers({ 'x-sum': '1' });
        response.end();
      });
      return;
    case '/hints':
      response.writeEarlyHints({ link: '</a.css>; rel=preload' });
      whenRead(() => response.end(words));
      return;
    case '/none':
      whenRead(() => response.writeHead(204).end());
      return;
    default:
      whenRead(() => response.end(words));
  }
}

export async function startHttp2App(): Promise<MeaningApp> {
  const got: GotRequest[] = [];
  const server = createServer({ noDelay: true }, (socket) => {
    const tap = new Tap(socket);
    const session = performServerHandshake(tap);
    session.on('error', () => {});
    session.on('stream', (stream, headers, _flags, raw?: string[]) => {
      const fields = pairs(raw ?? []).filter(([name]) => !name.startsWith(':') || name === ':authority');
      const record: GotRequest = {
        method: String(headers[':method']),
        target: String(headers[':path']),
        fields,
        body: [],
        trailers: [],
        complete: false,
      };
      got.push(record);
      stream.on('error', () => {});
      stream.on('data', (chunk: Buffer) => record.body.push(chunk));
      stream.on('trailers', (_headers, _flags, fields?: string[]) => {
        record.trailers = pairs(fields ?? []);
      });
      stream.on('end', () => {
        record.complete = tap.ended.has(stream.id ?? 0);
      });
      answerHttp2(record, stream, socket);
    });
  });
  return listening(server, got, []);
}

function answerHttp2(record: GotRequest, stream: ServerHttp2Stream, socket: Socket): void {
  const words = `echo ${tagOf(record)}`;
  // Another one on this connection has cut it.
  if (stream.destroyed) return;
  const answer = (act: () => void): void => {
    if (!stream.destroyed) act();
  };
  switch (record.target.split('?')[0]) {
    case '/early':
      stream.respond();
      stream.end(words);
      return;
    case '/hang':
      return;
    case '/cut':
      stream.respond();
      stream.write(words);
      setImmediate(() => socket.destroy());
      return;
    case '/large':
      stream.respond();
      stream.write(words);
      stream.end(LARGE);
      return;
    case '/trailers':
      stream.once('end', () =>
        answer(() => {
          stream.respond({}, { waitForTrailers: true });
          stream.once('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1' }));
          stream.end(words);
        }),
      );
      return;
    case '/hints':
      stream.additionalHeaders({ ':status': 103, link: '</a.css>; rel=preload' });
      stream.once('end', () =>
        answer(() => {
          stream.respond();
          stream.end(words);
        }),
      );
      return;
    case '/none':
      stream.once('end', () => answer(() => stream.respond({ ':status': 204 }, { endStream: true })));
      return;
    default:
      stream.once('end', () =>
        answer(() => {
          stream.respond();
          stream.end(words);
        }),
      );
  }
}

/** A socket whose frames are looked at on their way: Node does not tell whether a stream ended or was reset without an error. */
class Tap extends Duplex {
  /** Streams on which END_STREAM came. */
  readonly ended = new Set<number>();
  readonly #socket: Socket;
  readonly #scanner = new FrameScanner(PREFACE.length);

  constructor(socket: Socket) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      for (const { type, flags, id } of this.#scanner.push(chunk)) {
        if ((type === Type.DATA || type === Type.HEADERS) && (flags & END_STREAM) !== 0) this.ended.add(id);
      }
      if (!this.push(chunk)) socket.pause();
    });
    socket.on('end', () => this.push(null));
    socket.on('error', () => {});
    socket.on('close', () => this.destroy());
    this.on('error', () => {});
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.#socket.destroyed) done();
    else this.#socket.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    this.#socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}

function pairs(flat: readonly string[]): Field[] {
  const fields: Field[] = [];
  for (let i = 0; i < flat.length; i += 2) fields.push([flat[i] as string, flat[i + 1] as string]);
  return fields;
}

async function listening(server: Server, got: GotRequest[], unreadable: string[]): Promise<MeaningApp> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return { port, got, unreadable, close: () => void server.close() };
}
