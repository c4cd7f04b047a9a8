/** The judgement on a request's fields: equally strict for each protocol. */
import { PullproxyError } from '../../../errors.ts';
import type { Framing } from '../body.ts';
import { type Forwarded, type ForwardedFrom, Forwarding, forwarded } from './forwarding.ts';
import type { FieldLines } from './head-lines.ts';
import { bindsConnection, type KnownHeader, listMembers } from './headers.ts';
import { hostName } from './request-target.ts';

/** As HAProxy's 101 and Apache's 100: no client needs more. */
export const REQUEST_HEADERS_MAX = 128;
/** A `Connection` header that names more is refused: each name is looked for among the headers. */
const CONNECTION_MEMBERS_MAX = 16;
const NO_MEMBERS: readonly string[] = [];
/** The values of the last requests: the next one probably has the same. */
let lastHost = '';
let lastConnection = '';
/** W3C Trace Context section 3.2: neither id is zero, version ff does not exist, and a version after 00 may say more. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/;
const TRACEPARENT_CHARS = 55;

/** The facts of a request for the proxy. */
export interface RequestFacts {
  readonly method: string;
  /** As `Via` says it: `1.1`. */
  readonly version: string;
  /** The host that was asked for, lower-cased, without port and trailing dot; empty for an HTTP/1.0 request without Host. */
  host: string;
  /** As Host says it. */
  hostText: string;
  hasHost: boolean;
  /** How the client came, by what is known here or by a trusted proxy's word. */
  proto: string;
  readonly origin: ForwardedFrom['origin'];
  /** The client's connection may serve another request after this one. */
  keepAlive: boolean;
  upgrade: boolean;
  h2c: boolean;
  chunked: boolean;
  contentLength: number;
  hasRequestId: boolean;
  /** Its `traceparent` came with it. */
  traced: boolean;
  hasTracestate: boolean;
  hasGrpcTimeout: boolean;
  /** The application's connection is not to serve another client afterwards, see `bindsConnection()`. */
  bindsConnection: boolean;
  connection: readonly string[];
  readonly forwarding: Forwarding | null;
}

export function framingOf({ chunked, contentLength }: RequestFacts): Framing {
  return chunked ? 'chunked' : contentLength > 0 ? 'length' : 'none';
}

/**
 * Judges a request and removes the fields that do not go on: hop-by-hop ones (RFC 9110 section 7.6.1), and what a client says about its way
 * here, which is believed of trusted proxies only. `authority`: takes the place of Host (RFC 9112 section 3.2.2, RFC 9113 section 8.3.1); null:
 * Host says it. `chunked`: it has a body of no known length, by other means than its fields.
 * @throws PullproxyError bad_request when the request could be understood in two ways.
 */
export function judgeRequest(
  lines: FieldLines,
  method: string,
  version: string,
  authority: string | null,
  from: ForwardedFrom,
  chunked = false,
): RequestFacts {
  if (lines.count > REQUEST_HEADERS_MAX) throw new PullproxyError('head_too_large', 'too many headers');
  if (method === 'CONNECT') throw new PullproxyError('bad_request', 'CONNECT is not served here');
  const http10 = version === '1.0';
  const facts: RequestFacts = {
    method,
    version,
    host: '',
    hostText: '',
    hasHost: false,
    proto: from.proto,
    origin: from.origin,
    keepAlive: true,
    upgrade: false,
    h2c: false,
    chunked,
    contentLength: 0,
    hasRequestId: false,
    traced: false,
    hasTracestate: false,
    hasGrpcTimeout: false,
    bindsConnection: false,
    connection: NO_MEMBERS,
    forwarding: from.proxies === undefined ? null : new Forwarding(from.proxies),
  };
  for (let i = 0; i < lines.count; i++) {
    const name = lines.known(i);
    if (name !== null) note(facts, name, lines, i);
  }
  // The authority of an absolute target does not make up for it (RFC 9112 section 3.2).
  const isNamed = facts.hasHost || http10 || (authority !== null && version === '2.0');
  if (!isNamed) throw new PullproxyError('bad_request', 'no Host');
  if (http10 && facts.chunked) throw new PullproxyError('bad_request', 'Transfer-Encoding in an HTTP/1.0 request');
  if (authority !== null) {
    facts.host = hostName(authority);
    facts.hostText = authority;
  }
  const { connection, upgrade } = facts;
  facts.upgrade = upgrade && !facts.h2c && !http10 && connection.includes('upgrade');
  removeNamedByConnection(lines, connection);
  if (upgrade && !facts.upgrade) removeAll(lines, 'upgrade');
  if (authority !== null) removeAll(lines, 'host');
  // To HTTP/1.0 an Expect means nothing (RFC 9110 section 10.1.1).
  if (http10) removeAll(lines, 'expect');
  // It belongs to the traceparent that it came with (W3C Trace Context section 3.3).
  if (facts.hasTracestate && !facts.traced) removeAll(lines, 'tracestate');
  facts.proto = facts.forwarding?.proto ?? facts.proto;
  facts.keepAlive = !(connection.includes('close') || (http10 && !connection.includes('keep-alive')));
  return facts;
}

/** The fields that tell the application how a request came. */
export function forwardedOf({ forwarding, hostText }: RequestFacts, from: ForwardedFrom): Forwarded {
  return forwarding?.with(from, hostText) ?? forwarded(from.origin.address, from.proto, hostText);
}

function note(facts: RequestFacts, name: KnownHeader, lines: FieldLines, i: number): void {
  switch (name) {
    case 'host':
      if (facts.hasHost) throw new PullproxyError('bad_request', 'more than one Host');
      facts.hasHost = true;
      facts.hostText = lastHost = lines.value(i, lastHost);
      facts.host = hostName(facts.hostText);
      return;
    case 'connection':
      lastConnection = lines.value(i, lastConnection);
      facts.connection =
        facts.connection.length === 0 ? listMembers(lastConnection) : [...facts.connection, ...listMembers(lastConnection)];
      lines.remove(i);
      return;
    case 'transfer-encoding':
      if (facts.chunked || !lines.isChunked(i)) throw new PullproxyError('bad_request', 'Transfer-Encoding other than chunked');
      facts.chunked = true;
      return;
    case 'content-length':
      facts.contentLength = lines.contentLength(i);
      if (facts.contentLength < 0) throw new PullproxyError('bad_request', 'malformed Content-Length');
      return;
    case 'upgrade':
      // h2c by Upgrade is obsolete (RFC 9113 section 3.1): the request goes on as HTTP/1.1.
      facts.h2c ||= listMembers(lines.value(i)).includes('h2c');
      facts.upgrade = true;
      return;
    case 'te':
      if (lines.value(i).toLowerCase() !== 'trailers') lines.remove(i);
      return;
    case 'x-request-id':
      if (facts.hasRequestId || !/^[\x21-\x7e]{1,128}$/.test(lines.value(i))) lines.remove(i);
      else facts.hasRequestId = true;
      return;
    case 'traceparent':
      if (facts.traced || !isTraceparent(lines.value(i))) lines.remove(i);
      else facts.traced = true;
      return;
    case 'authorization':
    case 'proxy-authorization':
      facts.bindsConnection ||= bindsConnection(lines.value(i));
      return;
    case 'tracestate':
      facts.hasTracestate = true;
      return;
    case 'grpc-timeout':
      facts.hasGrpcTimeout = true;
      return;
    case 'forwarded':
    case 'x-forwarded-':
      if (facts.forwarding?.note(lines.name(i), lines.value(i)) !== false) lines.remove(i);
      return;
    case 'keep-alive':
    case 'proxy-connection':
    case 'disguised':
      lines.remove(i);
      return;
    default:
  }
}

function isTraceparent(value: string): boolean {
  return TRACEPARENT.test(value) && (value.length === TRACEPARENT_CHARS || !value.startsWith('00'));
}

/** `Connection` may name any header as hop-by-hop. The framing, the host and what every request has are not its to take away. */
function removeNamedByConnection(lines: FieldLines, connection: readonly string[]): void {
  if (connection.length > CONNECTION_MEMBERS_MAX) throw new PullproxyError('bad_request', 'Connection names too many headers');
  for (const member of connection) {
    if (member === 'close' || member === 'keep-alive' || member === 'upgrade' || member === 'te') continue;
    for (let i = 0; i < lines.count; i++) if (lines.name(i) === member && !isProtected(lines.known(i))) lines.remove(i);
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

function removeAll(lines: FieldLines, name: KnownHeader): void {
  for (let i = 0; i < lines.count; i++) if (lines.known(i) === name) lines.remove(i);
}
