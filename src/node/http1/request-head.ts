import { PullproxyError } from '../../errors.ts';
import type { Framing } from './body.ts';
import { assembleHead, headerName, headerValue, type KnownHeader, knownHeader, listMembers, removal } from './headers.ts';
import { type Parser, spans } from './llhttp.ts';
import { newRequestId, newTraceparent } from './ids.ts';

/** What the proxy needs to know of a request. */
export interface RequestHead {
  readonly method: string;
  /** The host that was asked for, lower-cased, without port and trailing dot; empty for an HTTP/1.0 request without Host. */
  readonly host: string;
  readonly http10: boolean;
  /** The client's connection may serve another request after this one. */
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  readonly framing: Framing;
  readonly contentLength: number;
  /** RFC 9110 section 9.2.2: may be sent again when the connection broke. */
  readonly idempotent: boolean;
  /** The head as the application gets it. */
  readonly bytes: Buffer;
}

export interface ForwardedFrom {
  readonly remoteAddress: string;
  readonly proto: 'http' | 'https';
}

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH']);
/** A `Connection` header that names more is refused: each name is looked for among the headers. */
const CONNECTION_MEMBERS_MAX = 16;
const VIA = 'Via: 1.1 pullproxy\r\n';

interface Facts {
  host: string | null;
  hostRaw: string;
  connection: string[];
  upgrade: boolean;
  chunked: boolean;
  contentLength: number;
  requestId: boolean;
  traceparent: boolean;
}

/**
 * Judges and rewrites the head that was parsed last (it is in `spans`): hop-by-hop headers go (RFC 9110 section 7.6.1),
 * forwarding headers come. What a client says about forwarding is not believed.
 * @throws PullproxyError bad_request when the request could be understood in two ways.
 */
export function readRequestHead(bytes: Buffer, headBytes: number, parser: Parser, from: ForwardedFrom): RequestHead {
  const method = parser.method;
  const http10 = httpVersion(parser);
  if (spans.tooMany) throw new PullproxyError('head_too_large', 'too many headers');
  if (method === 'CONNECT') throw new PullproxyError('bad_request', 'CONNECT is not served here');
  const facts = collectFacts(bytes);
  const target = readTarget(bytes, facts, http10);
  if (http10 && facts.chunked) throw new PullproxyError('bad_request', 'Transfer-Encoding in an HTTP/1.0 request');
  const upgrade = facts.upgrade && facts.connection.includes('upgrade') && !http10;
  removeNamedByConnection(bytes, facts.connection, upgrade);
  const keepAlive = http10 ? facts.connection.includes('keep-alive') : !facts.connection.includes('close');
  return {
    method,
    host: target.host,
    http10,
    keepAlive,
    upgrade,
    framing: facts.chunked ? 'chunked' : facts.contentLength > 0 ? 'length' : 'none',
    contentLength: facts.contentLength,
    idempotent: IDEMPOTENT.has(method),
    bytes: assembleHead(
      bytes,
      headBytes,
      `${method} ${target.target} HTTP/1.${http10 ? '0' : '1'}\r\n`,
      addedLines(facts, target.replacesHost ? target.hostRaw : facts.hostRaw, target.replacesHost, http10, upgrade, from),
      null,
    ),
  };
}

/** @throws PullproxyError unless it is HTTP/1.0 or 1.1. */
function httpVersion(parser: Parser): boolean {
  const version = parser.version;
  if (version !== '1.1' && version !== '1.0') throw new PullproxyError('bad_request', `HTTP version ${version} on an HTTP/1 connection`);
  return version === '1.0';
}

function collectFacts(bytes: Buffer): Facts {
  const facts: Facts = {
    host: null,
    hostRaw: '',
    connection: [],
    upgrade: false,
    chunked: false,
    contentLength: 0,
    requestId: false,
    traceparent: false,
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
      facts.hostRaw = headerValue(bytes, i);
      facts.host = hostName(facts.hostRaw);
      return;
    case 'connection':
      facts.connection.push(...listMembers(headerValue(bytes, i)));
      removal.add(i);
      return;
    case 'transfer-encoding':
      // One coding, chunked: anything else has been understood differently by different servers too often.
      if (facts.chunked || headerValue(bytes, i).toLowerCase() !== 'chunked')
        throw new PullproxyError('bad_request', 'Transfer-Encoding other than chunked');
      facts.chunked = true;
      return;
    case 'content-length':
      facts.contentLength = contentLength(headerValue(bytes, i));
      return;
    case 'upgrade':
      // h2c by Upgrade is obsolete (RFC 9113 section 3.1): the request goes on as HTTP/1.1.
      facts.upgrade = headerValue(bytes, i).toLowerCase() !== 'h2c';
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
      if (facts.traceparent || !/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}/.test(headerValue(bytes, i))) removal.add(i);
      else facts.traceparent = true;
      return;
    case 'keep-alive':
    case 'proxy-connection':
    case 'forwarded':
    case 'x-forwarded-for':
    case 'x-forwarded-host':
    case 'x-forwarded-proto':
      removal.add(i);
      return;
    default:
  }
}

function contentLength(value: string): number {
  const length = Number(value);
  if (!/^\d{1,16}$/.test(value) || !Number.isSafeInteger(length)) throw new PullproxyError('bad_request', 'malformed Content-Length');
  return length;
}

interface Target {
  readonly target: string;
  readonly host: string;
  readonly hostRaw: string;
  readonly replacesHost: boolean;
}

/** RFC 9112 section 3.2: an absolute-form target replaces Host; every other form needs exactly one in HTTP/1.1. */
function readTarget(bytes: Buffer, facts: Facts, http10: boolean): Target {
  const target = bytes.toString('latin1', spans.urlStart, spans.urlEnd);
  if (facts.host === null && !http10) throw new PullproxyError('bad_request', 'no Host');
  if (target.startsWith('/') || target === '*') return { target, host: facts.host ?? '', hostRaw: facts.hostRaw, replacesHost: false };
  const absolute = /^https?:\/\/([^/?#@]+)([/?][^#]*)?$/i.exec(target);
  if (absolute === null) throw new PullproxyError('bad_request', 'malformed request target');
  const authority = absolute[1] as string;
  const path = absolute[2] ?? '/';
  for (let i = 0; i < spans.count; i++) if (knownHeader(bytes, i) === 'host') removal.add(i);
  return { target: path.startsWith('?') ? `/${path}` : path, host: hostName(authority), hostRaw: authority, replacesHost: true };
}

/**
 * `Example.com:8080` → `example.com`, `[::1]:80` → `[::1]`, a trailing dot goes.
 * @throws PullproxyError bad_request when it is no host.
 */
export function hostName(value: string): string {
  const parts = /^(\[[0-9a-fA-F:.]{2,45}\]|[a-zA-Z0-9._-]{0,253}?)\.?(?::\d{0,5})?$/.exec(value);
  if (parts === null) throw new PullproxyError('bad_request', 'malformed Host');
  return (parts[1] as string).toLowerCase();
}

/** `Connection` may name any header as hop-by-hop. The framing and the host are not its to take away. */
function removeNamedByConnection(bytes: Buffer, connection: readonly string[], upgrade: boolean): void {
  if (connection.length > CONNECTION_MEMBERS_MAX) throw new PullproxyError('bad_request', 'Connection names too many headers');
  for (const member of connection) {
    if (member === 'close' || member === 'keep-alive' || member === 'upgrade' || member === 'te') continue;
    for (let i = 0; i < spans.count; i++) {
      const name = headerName(bytes, i);
      if (name === member && name !== 'host' && name !== 'content-length' && name !== 'transfer-encoding') removal.add(i);
    }
  }
  if (!upgrade) return;
  for (let i = 0; i < spans.count; i++) if (knownHeader(bytes, i) === 'upgrade') removal.keep(i);
}

function addedLines(facts: Facts, host: string, writesHost: boolean, http10: boolean, upgrade: boolean, from: ForwardedFrom): string {
  let lines = writesHost ? `Host: ${host}\r\n` : '';
  if (upgrade) lines += 'Connection: upgrade\r\n';
  else if (http10) lines += 'Connection: keep-alive\r\n';
  lines += `X-Forwarded-For: ${from.remoteAddress}\r\nX-Forwarded-Proto: ${from.proto}\r\n`;
  if (host !== '') lines += `X-Forwarded-Host: ${host}\r\n`;
  if (!facts.requestId) lines += `X-Request-Id: ${newRequestId()}\r\n`;
  if (!facts.traceparent) lines += `traceparent: ${newTraceparent()}\r\n`;
  return lines + VIA;
}
