import { PullproxyError } from '../../../errors.ts';
import type { RecordedHead } from '../../visits/visit-record.ts';
import type { Framing } from '../body.ts';
import { addedLines } from './added-lines.ts';
import type { ForwardedFrom } from './forwarding.ts';
import type { Parser } from './llhttp.ts';
import { forwardedOf, framingOf, judgeRequest, type RequestFacts } from './request-judge.ts';
import { readTarget } from './request-target.ts';

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY']);

/** A request's head as the application gets it, whatever protocol it came by, and whatever protocol it goes on in. */
export abstract class RequestHead implements RecordedHead {
  readonly #facts: RequestFacts;

  constructor(facts: RequestFacts) {
    this.#facts = facts;
  }

  /** Its size in bytes as HTTP/1.1 says it: limits count with this. */
  abstract readonly byteLength: number;
  /** The target that the application is asked for. */
  abstract get target(): string;
  /** All values of the fields of this name, which is in lower case, as RFC 9110 section 5.3 joins them; null: there is none. */
  abstract field(name: string): string | null;
  /** Takes the beginning of the path away, and says so in X-Forwarded-Prefix. What a client says there goes in any case. */
  abstract stripPrefix(prefix: string): void;
  /** Writes over a part of the first field of this name, from its value's character `at` on. */
  abstract overwrite(name: string, at: number, text: string): void;

  get method(): string {
    return this.#facts.method;
  }

  /** The host that was asked for, lower-cased, without port and trailing dot; empty for an HTTP/1.0 request without Host. */
  get host(): string {
    return this.#facts.host;
  }

  /** As `Via` says it: `1.1`. */
  get version(): string {
    return this.#facts.version;
  }

  get http10(): boolean {
    return this.#facts.version === '1.0';
  }

  /** The connection that it came on. */
  get origin(): ForwardedFrom['origin'] {
    return this.#facts.origin;
  }

  /** As trusted proxies say it, or that of the connection. */
  get client(): string {
    const { forwarding, origin } = this.#facts;
    return forwarding?.client(origin.address) ?? origin.address;
  }

  /** The host and port that were asked for, as the client says them. */
  get hostText(): string {
    return this.#facts.hostText;
  }

  /** It came through a proxy that is trusted. */
  get isFromProxy(): boolean {
    return this.#facts.forwarding !== null;
  }

  /** How the client came, by what is known here or by a trusted proxy's word. */
  get proto(): string {
    return this.#facts.proto;
  }

  /** The client's connection may serve another request after this one. */
  get keepAlive(): boolean {
    return this.#facts.keepAlive;
  }

  get upgrade(): boolean {
    return this.#facts.upgrade;
  }

  get framing(): Framing {
    return framingOf(this.#facts);
  }

  get contentLength(): number {
    return this.#facts.contentLength;
  }

  /** RFC 9110 section 9.2.2: may be sent again when the connection broke. */
  get idempotent(): boolean {
    return IDEMPOTENT.has(this.#facts.method);
  }

  /** Its `traceparent` came with it. */
  get traced(): boolean {
    return this.#facts.traced;
  }

  get saysGrpcTimeout(): boolean {
    return this.#facts.hasGrpcTimeout;
  }

  /** gRPC over HTTP/2. */
  get isGrpc(): boolean {
    return /^application\/grpc/i.test(this.field('content-type') ?? '');
  }

  /** It authenticates the connection that carries it, see `bindsConnection()`. */
  get bindsConnection(): boolean {
    return this.#facts.bindsConnection;
  }

  /** Its client may send nothing of the body before it has an interim response (RFC 9110 section 10.1.1). */
  get mayAwaitContinue(): boolean {
    return this.field('expect') !== null;
  }
}

export const PREFIX_HEADER = 'x-forwarded-prefix';

/** `prefix` is the beginning of `target`, in whole segments. */
export function withoutPrefix(target: string, prefix: string): string {
  const rest = target.slice(prefix.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

const CR = 0x0d;
const LF = 0x0a;
const COLON = 0x3a;
/** An ASCII letter and this: the small letter. */
const SMALL = 0x20;

/** For an application that speaks HTTP/1.1: the bytes that it gets. */
export class TextHead extends RequestHead {
  bytes: Buffer;

  constructor(facts: RequestFacts, bytes: Buffer) {
    super(facts);
    this.bytes = bytes;
  }

  override get byteLength(): number {
    return this.bytes.length;
  }

  override get target(): string {
    const from = this.method.length + 1;
    return this.bytes.toString('latin1', from, this.bytes.indexOf(SMALL, from));
  }

  override field(name: string): string | null {
    let value: string | null = null;
    for (let at = this.#valueAt(name, 0); at !== -1; at = this.#valueAt(name, at)) {
      const text = this.bytes.toString('latin1', at, this.bytes.indexOf(CR, at)).replace(/^[ \t]+|[ \t]+$/g, '');
      value = value === null ? text : `${value}, ${text}`;
    }
    return value;
  }

  override overwrite(name: string, at: number, text: string): void {
    const { bytes } = this;
    let start = this.#valueAt(name, 0);
    if (start === -1) return;
    while (bytes[start] === SMALL || bytes[start] === 0x09) start++;
    bytes.write(text, start + at, bytes.indexOf(CR, start) - start - at, 'latin1');
  }

  override stripPrefix(prefix: string): void {
    const text = this.bytes.toString('latin1').replaceAll(/\r\nx-forwarded-prefix:[^\r]*(?=\r\n)/gi, '');
    const from = this.method.length + 1;
    const to = text.indexOf(' ', from);
    const [target, said] =
      prefix === '' ? [text.slice(from, to), ''] : [withoutPrefix(text.slice(from, to), prefix), `X-Forwarded-Prefix: ${prefix}\r\n`];
    const end = text.length - 2;
    this.bytes = Buffer.from(text.slice(0, from) + target + text.slice(to, end) + said + text.slice(end), 'latin1');
  }

  /** Where the value begins of the first field of this name in the lines after offset `from`; -1: there is none. */
  #valueAt(name: string, from: number): number {
    const { bytes } = this;
    for (let at = bytes.indexOf(LF, from) + 1; at > 0 && at < bytes.length; at = bytes.indexOf(LF, at) + 1) {
      let i = 0;
      while (i < name.length && ((bytes[at + i] as number) | SMALL) === name.charCodeAt(i)) i++;
      if (i === name.length && bytes[at + i] === COLON) return at + i + 1;
    }
    return -1;
  }
}

/**
 * Judges and rewrites the head of HTTP/1.x that `parser` has parsed: it is HTTP/1.1 from here on.
 * @throws PullproxyError bad_request when the request could be understood in two ways.
 */
export function readRequestHead(parser: Parser, headBytes: number, from: ForwardedFrom): TextHead {
  const { method, minorVersion, lines } = parser;
  if (minorVersion === -1) throw new PullproxyError('bad_request', 'not HTTP/1.0 or HTTP/1.1');
  const target = readTarget(lines, method);
  const http10 = minorVersion === 0;
  const facts = judgeRequest(lines, method, http10 ? '1.0' : '1.1', target.authority, from);
  const host = target.authority !== null || !facts.hasHost ? `Host: ${facts.hostText}\r\n` : '';
  const added = addedLines({
    lines: host + (facts.upgrade ? 'Connection: upgrade\r\n' : '') + forwardedOf(facts, from).lines,
    requestId: !facts.hasRequestId,
    traceparent: !facts.traced && from.additions?.traceparent === true,
    via: from.additions?.via === false ? '' : facts.version,
  });
  // In the usual form the request line passes as it came.
  const asItCame = target.replacement === null && !http10;
  const url = target.replacement ?? lines.bytes.toString('latin1', lines.urlStart, lines.urlEnd);
  const start = asItCame ? '' : `${method} ${url} HTTP/1.1\r\n`;
  const copyFrom = asItCame ? lines.urlStart - method.length - 1 : lines.startOf(headBytes);
  return new TextHead(facts, lines.assemble(headBytes, start, copyFrom, added, 0));
}
