/** Clients of HTTP/2: Node's own, and one that speaks in frames, for what no client would send. */
import { once } from 'node:events';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';
import { frameBytes, Type } from './http2-frames.ts';
import { connectClient } from './raw-client.ts';
import type { RawSocket } from './raw-socket.ts';

const sessions = new Set<ClientHttp2Session>();

export interface Http2Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly trailers: IncomingHttpHeaders;
}

export function connectHttp2(url: string, options: Parameters<typeof connect>[1] = {}): ClientHttp2Session {
  const session = connect(url, options);
  session.on('error', () => {});
  sessions.add(session);
  return session;
}

/** For `afterEach`. */
export function closeHttp2(): void {
  for (const session of sessions) session.destroy();
  sessions.clear();
}

/** Resolves with the whole answer; rejects when the stream is reset before its end. */
export async function askHttp2(session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: Buffer | string): Promise<Http2Answer> {
  const stream = session.request({ ':authority': 'app.test', ...headers }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const chunks: Buffer[] = [];
  let answer: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  stream.on('response', (given) => {
    answer = given;
  });
  stream.on('trailers', (given) => {
    trailers = given;
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'close');
  if (stream.rstCode !== 0) throw new Error(`reset with ${stream.rstCode}`);
  return { status: Number(answer[':status']), headers: answer, text: Buffer.concat(chunks).toString('latin1'), trailers };
}

/** Fields without compression (RFC 7541 section 6.2.2). Each name and value is shorter than 127 bytes. */
export function literals(fields: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(fields).flatMap(([name, value]) => [
      Buffer.from([0, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ]),
  );
}

/** A client that has said the preface and speaks in frames from now on. */
export async function connectFrames(port: number): Promise<RawSocket> {
  const client = await connectClient(port);
  client.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  client.send(frameBytes(Type.SETTINGS, 0, 0));
  return client;
}

/** Reads frames until a GOAWAY, and returns its error code. */
export async function goAwayCode(client: RawSocket): Promise<number> {
  for (;;) {
    const head = await client.take(9);
    const payload = await client.take(head.readUIntBE(0, 3));
    if (head[3] === Type.GOAWAY) return payload.readUInt32BE(4);
  }
}
