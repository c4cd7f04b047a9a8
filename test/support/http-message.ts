/** HTTP/1.1 read a second time, plainly, so that the tests do not believe the parser that they test. */

/** The source that messages are read from. */
export interface ByteSource {
  readonly ending: 'fin' | 'reset' | null;
  readonly unread: Buffer;
  take(bytes: number): Promise<Buffer>;
  takeThrough(text: string): Promise<string>;
  ended(): Promise<'fin' | 'reset'>;
}

export interface HttpMessage {
  readonly startLine: string;
  /** The status of a response. */
  readonly status: number;
  /** As they came, in their order. */
  readonly headers: readonly (readonly [string, string])[];
  /** All values of a header, whatever the letters' case. */
  values(name: string): string[];
  /** Without chunk framing. */
  readonly body: Buffer;
  readonly text: string;
  readonly trailers: string;
  /** The head's text as it came. */
  readonly head: string;
}

/** The head of an answer without the `Date` that it must have. */
export function undated(head: string): string {
  const parts = head.split(/^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/m);
  if (parts.length !== 2) throw new Error(`not one Date in ${JSON.stringify(head)}`);
  return parts.join('');
}

export async function readRequest(source: ByteSource): Promise<HttpMessage> {
  const head = await source.takeThrough('\r\n\r\n');
  return message(head, source, () => Promise.resolve(Buffer.alloc(0)));
}

export async function readResponse(source: ByteSource, method: string): Promise<HttpMessage> {
  const head = await source.takeThrough('\r\n\r\n');
  const status = statusOf(head);
  const bodiless = method === 'HEAD' || status < 200 || status === 204 || status === 304;
  if (bodiless) return build(head, Buffer.alloc(0), '');
  return message(head, source, () => untilClose(source));
}

async function untilClose(source: ByteSource): Promise<Buffer> {
  const ending = await source.ended();
  if (ending === 'reset')
    throw new Error(`reset within a body that ends with the connection, after ${JSON.stringify(source.unread.toString('latin1'))}`);
  return source.take(source.unread.length);
}

async function message(head: string, source: ByteSource, unframed: () => Promise<Buffer>): Promise<HttpMessage> {
  const [length] = valuesOf(headersOf(head), 'content-length');
  if (valuesOf(headersOf(head), 'transfer-encoding').join() === 'chunked') {
    const parts: Buffer[] = [];
    for (;;) {
      const size = Number.parseInt(await source.takeThrough('\r\n'), 16);
      if (size === 0) break;
      parts.push(await source.take(size));
      if ((await source.take(2)).toString() !== '\r\n') throw new Error('a chunk without its end');
    }
    let trailers = '';
    for (let line = await source.takeThrough('\r\n'); line !== '\r\n'; line = await source.takeThrough('\r\n')) trailers += line;
    return build(head, Buffer.concat(parts), trailers);
  }
  return build(head, length === undefined ? await unframed() : await source.take(Number(length)), '');
}

function build(head: string, body: Buffer, trailers: string): HttpMessage {
  const headers = headersOf(head);
  return {
    startLine: head.slice(0, head.indexOf('\r\n')),
    status: statusOf(head),
    headers,
    values: (name) => valuesOf(headers, name),
    body,
    text: body.toString('latin1'),
    trailers,
    head,
  };
}

function statusOf(head: string): number {
  return Number(head.split(' ')[1]);
}

function headersOf(head: string): [string, string][] {
  const lines = head.split('\r\n').slice(1, -2);
  return lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
}

function valuesOf(headers: readonly (readonly [string, string])[], name: string): string[] {
  return headers.filter(([given]) => given.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
}
