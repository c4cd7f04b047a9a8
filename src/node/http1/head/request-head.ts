import { PullproxyError } from '../../../errors.ts';
import type { Framing } from '../body.ts';
import { addedLines } from './added-lines.ts';
import { type ForwardedFrom, Forwarding, forwardingLines } from './forwarding.ts';
import {
  assembleHead,
  bindsConnection,
  contentLengthAt,
  headerName,
  headerValue,
  isChunked,
  type KnownHeader,
  knownHeader,
  listMembers,
  removal,
} from './headers.ts';
import { type Parser, spans } from './llhttp.ts';
import { hostName, readTarget } from './request-target.ts';

/** The facts of a request for the proxy. */
export interface RequestHead {
  readonly method: string;
  /** The host that was asked for, lower-cased, without port and trailing dot; empty for an HTTP/1.0 request without Host. */
  readonly host: string;
  readonly http10: boolean;
  /** As `Via` says it: `1.1`. */
  readonly version: string;
  /** Its sender: the client, or the proxy in front. */
  readonly client: string;
  /** Of the connection that it came on. */
  readonly origin: ForwardedFrom['origin'];
  /** How the client came, by what is known here or by a trusted proxy's word. */
  readonly proto: string;
  /** The client's connection may serve another request after this one. */
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  readonly framing: Framing;
  readonly contentLength: number;
  /** RFC 9110 section 9.2.2: may be sent again when the connection broke. */
  readonly idempotent: boolean;
  /** Its `traceparent` came with it. */
  readonly traced: boolean;
  /** It has a `grpc-timeout`. */
  readonly saysGrpcTimeout: boolean;
  /** It authenticates the connection that carries it, see `bindsConnection()`. */
  readonly bindsConnection: boolean;
  /** The head as the application gets it. */
  readonly bytes: Buffer;
}

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY']);
/** As HAProxy's 101 and Apache's 100: no client needs more. */
const REQUEST_HEADERS_MAX = 128;
/** A `Connection` header that names more is refused: each name is looked for among the headers. */
const CONNECTION_MEMBERS_MAX = 16;
const NO_MEMBERS: readonly string[] = [];
/** What requests said last, and the next one probably says, too. */
let lastHost = '';
let lastConnection = '';
/** W3C Trace Context section 3.2: neither id is zero, version ff does not exist, and a version after 00 may say more. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/;
const TRACEPARENT_CHARS = 55;

interface Facts {
  host: string | null;
  hostRaw: string;
  connection: readonly string[];
  upgrade: boolean;
  h2c: boolean;
  chunked: boolean;
  contentLength: number;
  requestId: boolean;
  traceparent: boolean;
  /** The application's connection is not to serve another client afterwards. */
  bindsConnection: boolean;
  tracestate: boolean;
  grpcTimeout: boolean;
  /** Null: no proxy is believed. */
  readonly forwarding: Forwarding | null;
}

/**
 * Judges and rewrites the head that was parsed last (it is in `spans`): hop-by-hop headers go (RFC 9110 section 7.6.1),
 * forwarding headers come, and it is HTTP/1.1 from here on. What is said about forwarding is believed of trusted proxies only.
 * @throws PullproxyError bad_request when the request could be understood in two ways.
 */
export function readRequestHead(bytes: Buffer, headBytes: number, parser: Parser, from: ForwardedFrom): RequestHead {
  const { method, minorVersion } = parser;
  const http10 = minorVersion === 0;
  if (minorVersion === -1) throw new PullproxyError('bad_request', 'not HTTP/1.0 or HTTP/1.1');
  if (spans.count > REQUEST_HEADERS_MAX) throw new PullproxyError('head_too_large', 'too many headers');
  if (method === 'CONNECT') throw new PullproxyError('bad_request', 'CONNECT is not served here');
  const facts = collectFacts(bytes, from.trusted === true);
  if (facts.host === null && !http10) throw new PullproxyError('bad_request', 'no Host');
  if (http10 && facts.chunked) throw new PullproxyError('bad_request', 'Transfer-Encoding in an HTTP/1.0 request');
  const target = readTarget(bytes, method);
  const upgrade = facts.upgrade && !facts.h2c && !http10 && facts.connection.includes('upgrade');
  removeNamedByConnection(bytes, facts.connection);
  if (upgrade) keepAll(bytes, 'upgrade');
  // An absolute target takes Host's place (RFC 9112 section 3.2.2).
  if (target.authority !== null) removeAll(bytes, 'host');
  // To HTTP/1.0 an Expect means nothing (RFC 9110 section 10.1.1).
  if (http10) removeAll(bytes, 'expect');
  // It belongs to the traceparent that it came with (W3C Trace Context section 3.3).
  if (facts.tracestate && !facts.traceparent) removeAll(bytes, 'tracestate');
  const host = target.authority ?? facts.hostRaw;
  const writesHost = target.authority !== null || facts.host === null;
  const closes = facts.connection.includes('close') || (http10 && !facts.connection.includes('keep-alive'));
  const version = http10 ? '1.0' : (from.version ?? '1.1');
  const added = addedLines({
    lines:
      ownLines(writesHost, upgrade, host) + (facts.forwarding?.lines(from, host) ?? forwardingLines(from.origin.address, from.proto, host)),
    requestId: !facts.requestId,
    traceparent: !facts.traceparent && from.additions?.traceparent === true,
    via: from.additions?.via === false ? '' : version,
  });
  // In the usual form the request line passes as it came.
  const asItCame = target.replacement === null && !http10;
  const start = asItCame ? '' : `${method} ${target.replacement ?? bytes.toString('latin1', spans.urlStart, spans.urlEnd)} HTTP/1.1\r\n`;
  const copyFrom = asItCame ? spans.urlStart - method.length - 1 : headersStart(headBytes);
  return {
    method,
    host: target.authority === null ? (facts.host ?? '') : hostName(target.authority),
    http10,
    version,
    client: from.origin.address,
    origin: from.origin,
    proto: facts.forwarding?.proto ?? from.proto,
    keepAlive: !closes,
    upgrade,
    framing: facts.chunked ? 'chunked' : facts.contentLength > 0 ? 'length' : 'none',
    contentLength: facts.contentLength,
    idempotent: IDEMPOTENT.has(method),
    traced: facts.traceparent,
    saysGrpcTimeout: facts.grpcTimeout,
    bindsConnection: facts.bindsConnection,
    bytes: assembleHead(bytes, headBytes, start, copyFrom, added, 0),
  };
}

/** gRPC over HTTP/2. */
export function isGrpc({ bytes }: RequestHead): boolean {
  return /\r\ncontent-type:\s*application\/grpc/i.test(bytes.toString('latin1'));
}

/** Its client may send nothing of the body before it has an interim response (RFC 9110 section 10.1.1). */
export function mayAwaitContinue({ bytes }: RequestHead): boolean {
  return /\r\nexpect:/i.test(bytes.toString('latin1'));
}

function headersStart(headBytes: number): number {
  return spans.count === 0 ? headBytes - 2 : (spans.headers[0] as number);
}

function collectFacts(bytes: Buffer, trusted: boolean): Facts {
  const facts: Facts = {
    host: null,
    hostRaw: '',
    connection: NO_MEMBERS,
    upgrade: false,
    h2c: false,
    chunked: false,
    contentLength: 0,
    requestId: false,
    traceparent: false,
    bindsConnection: false,
    tracestate: false,
    grpcTimeout: false,
    forwarding: trusted ? new Forwarding() : null,
  };
  removal.clear();
  for (let i = 0; i < spans.count; i++) {
    const name = knownHeader(bytes, i);
    if (name !== null) noteHeader(facts, name, bytes, i);
  }
  return facts;
}

function noteHeader(facts: Facts, name: KnownHeader, bytes: Buffer, i: number): void {
  switch (name) {
    case 'host':
      if (facts.host !== null) throw new PullproxyError('bad_request', 'more than one Host');
      facts.hostRaw = lastHost = headerValue(bytes, i, lastHost);
      facts.host = hostName(facts.hostRaw);
      return;
    case 'connection':
      lastConnection = headerValue(bytes, i, lastConnection);
      facts.connection =
        facts.connection.length === 0 ? listMembers(lastConnection) : [...facts.connection, ...listMembers(lastConnection)];
      removal.add(i);
      return;
    case 'transfer-encoding':
      if (facts.chunked || !isChunked(bytes, i)) throw new PullproxyError('bad_request', 'Transfer-Encoding other than chunked');
      facts.chunked = true;
      return;
    case 'content-length':
      facts.contentLength = contentLengthAt(bytes, i);
      if (facts.contentLength < 0) throw new PullproxyError('bad_request', 'malformed Content-Length');
      return;
    case 'upgrade':
      // h2c by Upgrade is obsolete (RFC 9113 section 3.1): the request goes on as HTTP/1.1.
      facts.h2c ||= listMembers(headerValue(bytes, i)).includes('h2c');
      facts.upgrade = true;
      removal.add(i);
      return;
    case 'te':
      if (headerValue(bytes, i).toLowerCase() !== 'trailers') removal.add(i);
      return;
    case 'x-request-id':
      if (facts.requestId || !/^[\x21-\x7e]{1,128}$/.test(headerValue(bytes, i))) removal.add(i);
      else facts.requestId = true;
      return;
    case 'traceparent':
      if (facts.traceparent || !isTraceparent(headerValue(bytes, i))) removal.add(i);
      else facts.traceparent = true;
      return;
    case 'authorization':
    case 'proxy-authorization':
      facts.bindsConnection ||= bindsConnection(bytes, i);
      return;
    case 'tracestate':
      facts.tracestate = true;
      return;
    case 'grpc-timeout':
      facts.grpcTimeout = true;
      return;
    case 'forwarded':
    case 'x-forwarded-':
      if (facts.forwarding?.note(headerName(bytes, i), headerValue(bytes, i)) !== false) removal.add(i);
      return;
    case 'keep-alive':
    case 'proxy-connection':
    case 'disguised':
      removal.add(i);
      return;
    default:
  }
}

function isTraceparent(value: string): boolean {
  return TRACEPARENT.test(value) && (value.length === TRACEPARENT_CHARS || !value.startsWith('00'));
}

/** `Connection` may name any header as hop-by-hop. The framing, the host and what every request has are not its to take away. */
function removeNamedByConnection(bytes: Buffer, connection: readonly string[]): void {
  if (connection.length > CONNECTION_MEMBERS_MAX) throw new PullproxyError('bad_request', 'Connection names too many headers');
  for (const member of connection) {
    if (member === 'close' || member === 'keep-alive' || member === 'upgrade' || member === 'te') continue;
    for (let i = 0; i < spans.count; i++) if (headerName(bytes, i) === member && !isProtected(knownHeader(bytes, i))) removal.add(i);
  }
}

function isProtected(name: KnownHeader | null): boolean {
  switch (name) {
    case 'host':
    case 'content-length':
    case 'transfer-encoding':
    case 'x-request-id':
    case 'traceparent':
      return true;
    default:
      return false;
  }
}

function removeAll(bytes: Buffer, name: KnownHeader): void {
  for (let i = 0; i < spans.count; i++) if (knownHeader(bytes, i) === name) removal.add(i);
}

function keepAll(bytes: Buffer, name: KnownHeader): void {
  for (let i = 0; i < spans.count; i++) if (knownHeader(bytes, i) === name) removal.keep(i);
}

function ownLines(writesHost: boolean, upgrade: boolean, host: string): string {
  return (writesHost ? `Host: ${host}\r\n` : '') + (upgrade ? 'Connection: upgrade\r\n' : '');
}
