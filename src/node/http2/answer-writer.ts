import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { type FailureDomain, guard } from '../../boundary.ts';
import { headerName, headerValue } from '../http1/headers.ts';
import { parseHead, spans } from '../http1/llhttp.ts';
import { Dechunker } from './dechunker.ts';

/** What frames an HTTP/1.1 message or speaks of its connection (RFC 9113 section 8.2.2). */
const HTTP1_ONLY: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);
const NO_TRAILERS: ReadonlySet<string> = new Set([...HTTP1_ONLY, 'content-length', 'host', 'trailer', 'te']);

type State = 'head' | 'body' | 'ended';

/** Says in HTTP/2 what an exchange writes in HTTP/1.1. Each head comes in one piece, and all of it was checked before. */
export class AnswerWriter {
  readonly #stream: ServerHttp2Stream;
  readonly #method: string;
  readonly #owner: FailureDomain;
  #state: State = 'head';
  #chunks: Dechunker | null = null;
  /** Of a body with a length; Infinity: it ends with the exchange. */
  #remaining = Number.POSITIVE_INFINITY;
  #said: (() => void) | null = null;

  /** `owner` ends when trailers can't be said: nobody is there to tell. */
  constructor(stream: ServerHttp2Stream, method: string, owner: FailureDomain) {
    this.#owner = owner;
    this.#stream = stream;
    this.#method = method;
  }

  /** False: wait for the stream's `drain`. */
  write(bytes: Buffer): boolean {
    let rest = bytes;
    while (rest.length > 0 && this.#state === 'head') rest = this.#head(rest);
    if (rest.length > 0 && this.#state === 'body') this.#body(rest);
    return !this.#stream.writableNeedDrain;
  }

  /** The exchange is over. */
  end(): void {
    if (this.#state !== 'body') return;
    this.#state = 'ended';
    this.#stream.end();
  }

  /** Calls `said` once, when everything up to the last trailer is on its way. */
  whenSaid(said: () => void): void {
    if (this.#chunks !== null) this.#said = said;
    else if (this.#stream.writableFinished) said();
    else this.#stream.once('finish', said);
  }

  #head(bytes: Buffer): Buffer {
    const parsed = parseHead('response', bytes);
    if (parsed.kind !== 'complete') throw new Error('an answer without its head');
    parsed.parser.release();
    const { status } = spans;
    const headers: OutgoingHttpHeaders = { [constants.HTTP2_HEADER_STATUS]: status };
    let chunked = false;
    for (let i = 0; i < spans.count; i++) {
      const name = headerName(bytes, i);
      if (name === 'transfer-encoding') chunked = true;
      if (!HTTP1_ONLY.has(name)) addField(headers, name, headerValue(bytes, i));
    }
    const rest = bytes.subarray(parsed.bytes);
    if (status < 200) {
      this.#stream.additionalHeaders(headers);
      return rest;
    }
    this.#begin(status, headers, chunked);
    return rest;
  }

  #begin(status: number, headers: OutgoingHttpHeaders, chunked: boolean): void {
    const length = headers['content-length'];
    const bodiless = this.#method === 'HEAD' || status === 204 || status === 304 || (!chunked && length === '0');
    if (bodiless) {
      this.#state = 'ended';
      this.#stream.respond(headers, { endStream: true });
      return;
    }
    this.#state = 'body';
    if (chunked) {
      const chunks = new Dechunker();
      this.#chunks = chunks;
      const sayTrailers = guard(this.#owner, () => {
        this.#stream.sendTrailers(trailersOf(chunks));
        this.#chunks = null;
        // A reset would overtake them in this turn.
        if (this.#said !== null) setImmediate(this.#said);
      });
      this.#stream.once('wantTrailers', sayTrailers);
    } else if (typeof length === 'string') {
      // It was judged when the head was read.
      this.#remaining = Number(length);
    }
    this.#stream.respond(headers, { waitForTrailers: chunked });
  }

  #body(bytes: Buffer): void {
    if (this.#chunks !== null) {
      for (const content of this.#chunks.take(bytes)) this.#stream.write(content);
      if (this.#chunks.complete) this.end();
      return;
    }
    this.#remaining -= bytes.length;
    this.#stream.write(bytes);
    if (this.#remaining === 0) this.end();
  }
}

function trailersOf({ trailers }: Dechunker): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const [name, value] of trailers) if (!NO_TRAILERS.has(name)) addField(headers, name, value);
  return headers;
}

/** Several fields of one name are one list, as RFC 9110 section 5.3 says; cookies are not. */
function addField(headers: OutgoingHttpHeaders, name: string, given: string): void {
  const value = given.replace(/[\r\n\0]+/g, ' ');
  const before = headers[name];
  if (name === 'set-cookie') headers[name] = [...(Array.isArray(before) ? before : []), value];
  else headers[name] = before === undefined ? value : `${String(before)}, ${value}`;
}
