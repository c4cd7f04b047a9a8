import { Body } from './body.ts';
import { dateLine } from './head/date.ts';
import type { HeadLines } from './head/head-lines.ts';
import { type Parser, parseHead } from './head/llhttp.ts';
import type { RequestHead } from './head/request-head.ts';
import { type ResponseHead, readResponseHead, rewriteResponseHead, withLineEnds } from './head/response-head.ts';
import { fieldsOf } from './own-responses.ts';

const RESPONSE_HEAD_BYTES_MAX = 65_536;
/** Head and first body bytes leave in one write up to this size. */
const JOIN_BYTES_MAX = 16_384;

const EMPTY = Buffer.alloc(0);
const NO_TRAILERS: readonly string[] = [];

export interface Taken {
  /** For the client, in this order; null: nothing yet. */
  readonly bytes: Buffer | null;
  /** The bytes behind this piece, to be read again; null: all were used. */
  readonly rest: Buffer | null;
}

const NOTHING: Taken = { bytes: null, rest: null };

/** A client that is told heads as fields, each in lower case: it frames the content itself. */
export interface HeadListener {
  inform(status: number, fields: readonly string[]): void;
  /** `ends`: there is no content. `trailers`: asked for behind it. */
  respond(status: number, fields: readonly string[], ends: boolean, trailers: () => readonly string[]): void;
}

/** The application's response to one request: interim responses, head, body, in the bytes that came. */
export class ApplicationResponse {
  state: 'head' | 'body' | 'complete' | 'tunnel' = 'head';
  /** An interim response was given out: the request can't be begun again, but answered otherwise. */
  interim = false;
  /** A byte of the response was given out: nothing can be taken back. */
  started = false;
  status = 0;
  /** The client has been told to go on: a 100 (Continue) of the application is one too many. */
  continueSaid = false;
  /** Further header lines, asked for when the head is there. */
  addedLines: (() => string) | null = null;
  readonly #request: RequestHead;
  readonly #heads: HeadListener | null;
  #trailers = NO_TRAILERS;
  #partial: Buffer = EMPTY;
  #head: ResponseHead | null = null;
  #body: Body | null = null;
  #closes = false;
  /** HTTP/1.0 does not know chunks: its client gets their content, and the end of the connection as the end. */
  #unchunks = false;

  /** `heads`: is told the head; the bytes are then those of the content. */
  constructor(request: RequestHead, heads: HeadListener | null = null) {
    this.#request = request;
    this.#heads = heads;
  }

  /** The bytes that were taken last are read again with those that follow. */
  get keepsBytes(): boolean {
    return this.#partial.length > 0;
  }

  /** The application may serve another request on this connection. */
  get keepsApplication(): boolean {
    return this.#head?.keepAlive === true && this.#head.framing !== 'until-close';
  }

  /** The client was told that its connection ends with this response. */
  get closesClient(): boolean {
    return this.#closes;
  }

  /**
   * Takes one piece: an interim response, the head with what follows, or a part of the body. Null: malformed.
   * `closing`: the client's connection ends with this response in any case.
   */
  take(chunk: Buffer, closing: boolean, requestComplete: boolean): Taken | null {
    if (this.state === 'body') return this.#takeBody(chunk);
    let bytes = this.#partial.length === 0 ? chunk : Buffer.concat([this.#partial, chunk]);
    let parsed = parseHead('response', bytes);
    if (parsed.kind === 'invalid') {
      const repaired = withLineEnds(bytes);
      if (repaired === null) return null;
      bytes = repaired;
      parsed = parseHead('response', bytes);
      if (parsed.kind === 'invalid') return null;
    }
    if (parsed.kind === 'incomplete') {
      this.#partial = bytes;
      return bytes.length >= RESPONSE_HEAD_BYTES_MAX ? null : NOTHING;
    }
    this.#partial = EMPTY;
    const { parser } = parsed;
    const head = readResponseHead(parser, this.#request);
    // Bytes that the client still sends of its request would be taken for a tunnel's first bytes.
    const mayUpgrade = this.#request.upgrade && requestComplete;
    if (head === null || (head.status === 101 && !mayUpgrade)) {
      parser.release();
      return null;
    }
    if (head.status < 200 && head.status !== 101) {
      const taken = this.#interim(parser.lines, parsed.bytes, head);
      parser.release();
      return taken;
    }
    this.#head = head;
    this.status = head.status;
    const body = new Body(head.framing, head.contentLength, parser);
    this.#body = body;
    this.#unchunks = (this.#request.http10 || this.#heads !== null) && head.framing === 'chunked';
    this.#closes = closing || this.#unchunks || head.framing === 'until-close';
    return this.#begin(parser, parsed.bytes, head, body);
  }

  /** The application's word about its limit in the trailers; null: there is none. */
  get said(): string | null {
    return this.#body?.said ?? null;
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

  #interim(lines: HeadLines, headBytes: number, { start, status }: ResponseHead): Taken {
    const { bytes } = lines;
    const rest = bytes.length === headBytes ? null : bytes.subarray(headBytes);
    // An HTTP/1.0 client does not know interim responses (RFC 9110 section 15.2).
    if (this.#request.http10 || (status === 100 && this.continueSaid)) return { bytes: null, rest };
    this.interim = true;
    if (this.#heads !== null) {
      this.#heads.inform(status, lines.fields());
      return { bytes: null, rest };
    }
    return { bytes: rewriteResponseHead(lines, headBytes, start, '', 0), rest };
  }

  /** The head, and the part of the body that came with it if that is small. */
  #begin(parser: Parser, headBytes: number, { start, dated }: ResponseHead, body: Body): Taken | null {
    const { bytes } = parser.lines;
    this.state = this.status === 101 ? 'tunnel' : body.complete ? 'complete' : 'body';
    if (this.#heads !== null) return this.#tell(this.#heads, parser, headBytes, body);
    const connection = this.#connectionHeader() + (dated || this.status < 200 ? '' : dateLine()) + (this.addedLines?.() ?? '');
    const restBytes = bytes.length - headBytes;
    const joins = restBytes > 0 && restBytes <= JOIN_BYTES_MAX && this.state === 'body' && !this.#unchunks;
    const joinedBytes = joins ? restBytes : 0;
    const head = rewriteResponseHead(parser.lines, headBytes, start, connection, joinedBytes);
    parser.headRead(body.isCounted);
    const taken = !joins ? 0 : body.isCounted ? body.count(restBytes) : body.take(bytes.subarray(headBytes));
    if (taken < 0) return null;
    this.started = true;
    if (joins && body.complete) this.state = 'complete';
    const rest = taken === restBytes ? null : bytes.subarray(headBytes + taken);
    if (!body.hasTrailers) return { bytes: taken === joinedBytes ? head : head.subarray(0, head.length - joinedBytes + taken), rest };
    return { bytes: Buffer.concat([head.subarray(0, head.length - joinedBytes), body.passable(bytes.subarray(headBytes), taken)]), rest };
  }

  #tell(heads: HeadListener, parser: Parser, headBytes: number, body: Body): Taken | null {
    const { bytes } = parser.lines;
    const rest = bytes.length === headBytes ? null : bytes.subarray(headBytes);
    const fields = [...parser.lines.fields(), ...fieldsOf(this.addedLines?.() ?? '')];
    parser.headRead(body.isCounted);
    const ends = body.complete;
    // First: what came with the head may show that it is none.
    const taken = rest === null || this.state !== 'body' ? { bytes: null, rest } : this.#takeBody(rest);
    if (taken === null) return null;
    this.started = true;
    heads.respond(this.status, fields, ends, () => this.#trailers);
    return taken;
  }

  #connectionHeader(): string {
    if (this.status === 101) return 'Connection: upgrade\r\n';
    if (this.status === 426) return this.#closes ? 'Connection: close, upgrade\r\n' : 'Connection: upgrade\r\n';
    if (this.#closes) return 'Connection: close\r\n';
    return this.#request.http10 ? 'Connection: keep-alive\r\n' : '';
  }

  #takeBody(chunk: Buffer): Taken | null {
    const body = this.#body as Body;
    const contents: Buffer[] | null = this.#unchunks ? [] : null;
    const taken = body.take(chunk, contents);
    if (taken < 0) return null;
    if (body.complete) this.state = 'complete';
    const rest = taken === chunk.length ? null : chunk.subarray(taken);
    if (contents !== null) {
      if (body.complete) this.#trailers = body.trailers;
      return { bytes: contents.length > 1 ? Buffer.concat(contents) : (contents[0] ?? null), rest };
    }
    const passes = body.passable(chunk, taken);
    return { bytes: passes.length === 0 ? null : passes, rest };
  }
}
