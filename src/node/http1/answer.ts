import { Body } from './body.ts';
import { parseHead } from './llhttp.ts';
import type { RequestHead } from './request-head.ts';
import { type ClientConnectionHeader, type ResponseHead, readResponseHead, rewriteResponseHead } from './response-head.ts';

const RESPONSE_HEAD_BYTES_MAX = 65_536;
/** Head and first body bytes leave in one write up to this size. */
const JOIN_BYTES_MAX = 16_384;

const EMPTY = Buffer.alloc(0);

export interface Taken {
  /** For the client, in this order; null: nothing yet. */
  readonly bytes: Buffer | null;
  /** What was not part of this piece: look again; null: all was used. */
  readonly rest: Buffer | null;
}

const NOTHING: Taken = { bytes: null, rest: null };

/** The application's answer to one request: interim answers, head, body, in the bytes that came. */
export class Answer {
  state: 'head' | 'body' | 'complete' | 'tunnel' = 'head';
  /** A byte of it has been given out: from now on nothing can be taken back. */
  started = false;
  status = 0;
  readonly #request: RequestHead;
  #partial: Buffer = EMPTY;
  #head: ResponseHead | null = null;
  #body: Body | null = null;
  #closes = false;

  constructor(request: RequestHead) {
    this.#request = request;
  }

  /** The application may serve another request on this connection. */
  get keepsApplication(): boolean {
    return this.#head !== null && this.#head.keepAlive && this.#head.framing !== 'until-close';
  }

  /** The client was told that its connection ends with this answer. */
  get closesClient(): boolean {
    return this.#closes;
  }

  /** Takes one piece: an interim answer, the head with what follows, or a part of the body. Null: malformed. */
  take(chunk: Buffer, closing: boolean): Taken | null {
    if (this.state === 'body') return this.#takeBody(chunk);
    const bytes = this.#partial.length === 0 ? chunk : Buffer.concat([this.#partial, chunk]);
    const parsed = parseHead('response', bytes);
    if (parsed.kind === 'invalid') return null;
    if (parsed.kind === 'incomplete') {
      this.#partial = bytes;
      return bytes.length >= RESPONSE_HEAD_BYTES_MAX ? null : NOTHING;
    }
    this.#partial = EMPTY;
    const head = readResponseHead(bytes, parsed.parser, this.#request.method);
    const unexpectedUpgrade = head !== null && head.status === 101 && !this.#request.upgrade;
    if (head === null || unexpectedUpgrade) {
      parsed.parser.release();
      return null;
    }
    const rest = bytes.length === parsed.bytes ? null : bytes.subarray(parsed.bytes);
    if (head.status < 200 && head.status !== 101) {
      parsed.parser.release();
      return this.#interim(bytes, parsed.bytes, rest);
    }
    this.#head = head;
    this.status = head.status;
    this.started = true;
    this.#body = new Body(head.framing, head.contentLength, parsed.parser);
    return this.#begin(bytes, parsed.bytes, rest, closing, head);
  }

  /** The application closed its connection: a legal end? */
  endsByClose(): boolean {
    if (this.state !== 'body' || this.#body === null || !this.#body.endsByClose()) return false;
    this.state = 'complete';
    return true;
  }

  release(): void {
    this.#body?.release();
  }

  #interim(bytes: Buffer, headBytes: number, rest: Buffer | null): Taken {
    // An HTTP/1.0 client does not know interim answers (RFC 9110 section 15.2).
    if (this.#request.http10) return { bytes: null, rest };
    this.started = true;
    return { bytes: rewriteResponseHead(bytes, headBytes, '', null), rest };
  }

  #begin(bytes: Buffer, headBytes: number, rest: Buffer | null, closing: boolean, head: ResponseHead): Taken | null {
    this.#closes = closing || head.framing === 'until-close';
    const connection = this.#connectionHeader(head);
    if (head.status === 101) {
      this.state = 'tunnel';
      return { bytes: rewriteResponseHead(bytes, headBytes, connection, null), rest };
    }
    const body = this.#body as Body;
    this.state = body.complete ? 'complete' : 'body';
    if (rest === null || rest.length > JOIN_BYTES_MAX || body.complete)
      return { bytes: rewriteResponseHead(bytes, headBytes, connection, null), rest };
    // The offsets of the head are lost once a chunked body is parsed: the head is written first.
    const out = rewriteResponseHead(bytes, headBytes, connection, rest);
    const taken = body.take(rest);
    if (taken < 0) {
      this.started = false;
      return null;
    }
    if (body.complete) this.state = 'complete';
    return taken === rest.length
      ? { bytes: out, rest: null }
      : { bytes: out.subarray(0, out.length - rest.length + taken), rest: rest.subarray(taken) };
  }

  #connectionHeader(head: ResponseHead): ClientConnectionHeader {
    if (head.status === 101) return 'Connection: upgrade\r\n';
    if (this.#closes) return 'Connection: close\r\n';
    return this.#request.http10 ? 'Connection: keep-alive\r\n' : '';
  }

  #takeBody(chunk: Buffer): Taken | null {
    const body = this.#body as Body;
    const taken = body.take(chunk);
    if (taken < 0) return null;
    if (body.complete) this.state = 'complete';
    if (taken === chunk.length) return { bytes: chunk, rest: null };
    return { bytes: chunk.subarray(0, taken), rest: chunk.subarray(taken) };
  }
}
