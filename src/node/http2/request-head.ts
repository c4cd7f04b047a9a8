import { PullproxyError } from '../../errors.ts';
import { addFields } from '../http1/head/added-lines.ts';
import type { ForwardedFrom } from '../http1/head/forwarding.ts';
import type { FieldLines } from '../http1/head/head-lines.ts';
import { isBlank, type KnownHeader, knownName } from '../http1/head/headers.ts';
import { PREFIX_HEADER, RequestHead, TextHead, withoutPrefix } from '../http1/head/request-head.ts';
import { forwardedOf, judgeRequest, REQUEST_HEADERS_MAX, type RequestFacts } from '../http1/head/request-judge.ts';
import { type Fields, fieldValue, isConnectionSpecific, neverIndexed, only, withNeverIndexed } from './fields.ts';

/** Longer methods are refused, as they are in HTTP/1.1. */
const METHOD_BYTES_MAX = 1_024;
/** A target that HTTP/1.1 can say: nothing beyond ASCII, and no fragment, which an application would cut off. */
const TARGET = /^[!"$-~]+$/;
/** ` HTTP/1.1`, and the ends of the request line and of the head. */
const START_OVERHEAD_BYTES = 14;
/** `: `, and the end of the line. */
const LINE_OVERHEAD_BYTES = 4;
const CHUNKED = 'Transfer-Encoding: chunked\r\n';

/** Places of the values of pseudo-fields, which stand in front, and how many texts they are. */
const PATH_AT = 3;
const AUTHORITY_AT = 7;
const PSEUDO_TEXTS = 8;

/** A request of HTTP/2 that was judged, and is said in the protocol of its application. */
export class Http2Request {
  readonly #facts: RequestFacts;
  /** As an application that speaks HTTP/2 gets them. */
  readonly #fields: string[];

  constructor(facts: RequestFacts, fields: string[]) {
    this.#facts = facts;
    this.#fields = fields;
  }

  get host(): string {
    return this.#facts.host;
  }

  get target(): string {
    return this.#fields[PATH_AT] as string;
  }

  /** For an application that speaks HTTP/2. */
  inFields(): FieldsHead {
    return new FieldsHead(this.#facts, this.#fields);
  }

  /** For an application that speaks HTTP/1.1. */
  inText(): TextHead {
    const { method, hostText, chunked } = this.#facts;
    const fields = this.#fields;
    let text = `${method} ${fields[PATH_AT]} HTTP/1.1\r\nHost: ${hostText}\r\n`;
    for (let i = PSEUDO_TEXTS; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`;
    return new TextHead(this.#facts, Buffer.from(`${text}${chunked ? CHUNKED : ''}\r\n`, 'latin1'));
  }
}

/** A request's head as fields. */
export class FieldsHead extends RequestHead {
  override readonly byteLength: number;
  readonly #fields: string[];

  constructor(facts: RequestFacts, fields: string[]) {
    super(facts);
    this.#fields = fields;
    this.byteLength = bytesOf(facts.method, this.target, facts.hostText, fields, PSEUDO_TEXTS);
  }

  override get target(): string {
    return this.#fields[PATH_AT] as string;
  }

  override field(name: string): string | null {
    return name === 'host' ? (this.#fields[AUTHORITY_AT] as string) : fieldValue(this.#fields, name);
  }

  override overwrite(name: string, at: number, text: string): void {
    const fields = this.#fields;
    for (let i = PSEUDO_TEXTS; i < fields.length; i += 2) {
      if (fields[i] !== name) continue;
      const value = fields[i + 1] as string;
      fields[i + 1] = value.slice(0, at) + text + value.slice(at + text.length);
      return;
    }
  }

  override stripPrefix(prefix: string): void {
    const said = only(this.#fields, (name) => name !== PREFIX_HEADER);
    this.#fields.splice(0, this.#fields.length, ...said);
    if (prefix === '') return;
    this.#fields[PATH_AT] = withoutPrefix(this.target, prefix);
    this.#fields.push(PREFIX_HEADER, prefix);
  }

  /** As its application gets it, with these names and values in the place of its own. */
  fieldsWith(replaced: readonly string[]): Fields {
    if (replaced.length === 0) return this.#fields;
    const isReplaced = (name: string): boolean => replaced.some((other, i) => i % 2 === 0 && other === name);
    const kept = only(this.#fields, (name) => !isReplaced(name));
    return withNeverIndexed([...kept, ...replaced], neverIndexed(this.#fields));
  }
}

/** The head of an HTTP/2 client's request: pseudo-fields, and the other fields as they are judged. */
class RequestLines implements FieldLines {
  method = '';
  path = '';
  /** By `:authority`, or by `host`; null: neither. */
  authority: string | null = null;
  takesTrailers = false;
  hasLength = false;
  /** Names and values; an empty name: it does not go on. */
  readonly fields: string[] = [];

  constructor(said: Fields) {
    let host: string | null = null;
    let cookies: string | null = null;
    for (let i = 0; i < said.length; i += 2) {
      const name = said[i] as string;
      const value = withoutBlanks(said[i + 1] as string);
      if (name.startsWith(':')) this.#pseudo(name, value);
      // Compression cuts them into crumbs (RFC 9113 section 8.2.3).
      else if (name === 'cookie') cookies = cookies === null ? value : `${cookies}; ${value}`;
      else if (name === 'host') {
        if (host !== null) throw new PullproxyError('bad_request', 'more than one Host');
        host = value;
      } else if (isConnectionSpecific(name)) throw new PullproxyError('bad_request', 'a connection-specific header');
      // In capitals or twice: there is only one form of it (RFC 9113 section 8.2.2).
      else if (name === 'te') this.takesTrailers = true;
      else {
        this.hasLength ||= name === 'content-length';
        this.fields.push(name, value);
      }
    }
    if (cookies !== null) this.fields.push('cookie', withoutBlanks(cookies));
    // Two names for the host are two meanings (RFC 9113 section 8.3.1).
    if (host !== null && this.authority !== null && host.toLowerCase() !== this.authority.toLowerCase())
      throw new PullproxyError('bad_request', 'Host is another than :authority');
    this.authority ??= host;
  }

  #pseudo(name: string, value: string): void {
    if (name === ':method') this.method = value;
    else if (name === ':path') this.path = value;
    else if (name === ':authority') this.authority = value;
  }

  get count(): number {
    return this.fields.length / 2;
  }

  known(i: number): KnownHeader | null {
    return knownName(this.name(i));
  }

  name(i: number): string {
    return this.fields[i * 2] as string;
  }

  value(i: number): string {
    return this.fields[i * 2 + 1] as string;
  }

  isChunked(): boolean {
    return false;
  }

  contentLength(i: number): number {
    return /^\d{1,15}$/.test(this.value(i)) ? Number(this.value(i)) : -1;
  }

  remove(i: number): void {
    this.fields[i * 2] = '';
  }

  addTo(fields: string[]): void {
    for (let i = 0; i < this.fields.length; i += 2) {
      if (this.fields[i] !== '') fields.push(this.fields[i] as string, this.fields[i + 1] as string);
    }
  }
}

/** Some clients say a value with white space around it, which is no part of it (RFC 9110 section 5.5). */
function withoutBlanks(value: string): string {
  const isPlain = !isBlank(value.charCodeAt(0)) && !isBlank(value.charCodeAt(value.length - 1));
  return isPlain ? value : value.replace(/^[ \t]+|[ \t]+$/g, '');
}

/**
 * Judges and rewrites the head of HTTP/2 whose form was judged before. `ended`: there is no body.
 * @throws PullproxyError bad_request when the request could be understood in two ways.
 */
export function readHttp2Request(said: Fields, ended: boolean, from: ForwardedFrom, headBytesMax: number): Http2Request {
  const lines = new RequestLines(said);
  const { method, path, authority } = lines;
  if (method === 'PRI' || method.length > METHOD_BYTES_MAX) throw new PullproxyError('bad_request', 'a method of no request');
  if (!TARGET.test(path)) throw new PullproxyError('bad_request', 'malformed request target');
  const chunked = !ended && !lines.hasLength;
  const bytes = bytesOf(method, path, authority ?? '', lines.fields, 0) + (chunked ? CHUNKED.length : 0);
  if (bytes > headBytesMax) throw new PullproxyError('head_too_large');
  // With the lines of Host and of the framing.
  if (lines.count + (chunked ? 2 : 1) > REQUEST_HEADERS_MAX) throw new PullproxyError('head_too_large', 'too many headers');
  const facts = judgeRequest(lines, method, '2.0', authority, from, chunked);
  const scheme = facts.proto === 'https' ? 'https' : 'http';
  const fields = [':method', method, ':path', path, ':scheme', scheme, ':authority', facts.hostText];
  lines.addTo(fields);
  forwardedOf(facts, from).addTo(fields);
  addFields(fields, {
    requestId: !facts.hasRequestId,
    traceparent: !facts.traced && from.additions?.traceparent === true,
    via: from.additions?.via === false ? '' : facts.version,
  });
  if (lines.takesTrailers) fields.push('te', 'trailers');
  withNeverIndexed(fields, neverIndexed(said));
  return new Http2Request(facts, fields);
}

/** As HTTP/1.1 writes it, with the fields from `first` on. */
function bytesOf(method: string, path: string, host: string, fields: Fields, first: number): number {
  let bytes = method.length + path.length + START_OVERHEAD_BYTES + 'host'.length + host.length + LINE_OVERHEAD_BYTES;
  for (let i = first; i < fields.length; i++) bytes += (fields[i] as string).length;
  return bytes + ((fields.length - first) / 2) * LINE_OVERHEAD_BYTES;
}
