import type { Framing } from '../body.ts';
import type { HeadLines } from './head-lines.ts';
import { bindsConnection, listMembers } from './headers.ts';
import type { Parser } from './llhttp.ts';
import type { RequestHead } from './request-head.ts';

/** The facts of an application's response for the proxy. */
export interface ResponseHead {
  readonly status: number;
  readonly framing: Framing;
  readonly contentLength: number;
  /** The application will take another request on this connection. */
  readonly keepAlive: boolean;
  /** It has a `Date`. */
  readonly dated: boolean;
  /** Offset of the status line. */
  readonly start: number;
}

const NO_MEMBERS: readonly string[] = [];
const VERSION = Buffer.from('HTTP/1.1');
const CR = 0x0d;
const LF = 0x0a;
const CRLF = Buffer.from('\r\n');
/** The values of the last responses: the next one probably has the same. */
let lastConnection = '';

/** Reads the head that `parser` has parsed and removes its hop-by-hop headers; null when it can't be understood in one way. */
export function readResponseHead({ lines, minorVersion }: Parser, request: RequestHead): ResponseHead | null {
  const { status } = lines;
  // Statuses above 599 mean nothing (RFC 9110 section 15). They pass, but Node can't say them in HTTP/2.
  const statusMax = request.version === '2.0' ? 599 : 999;
  if (lines.tooMany || status < 100 || status > statusMax || minorVersion === -1) return null;
  const start = statusLineAt(lines.bytes);
  if (start === -1) return null;
  // Such a response has no body, and a header that speaks of one is misread by some (RFC 9110 section 8.6, RFC 9112 section 6.1).
  const bodiless = status < 200 || status === 204;
  let contentLength = -1;
  let chunked = false;
  let dated = false;
  // The next client on this connection would be taken for the user who authenticates now.
  let binding = request.bindsConnection;
  let connection = NO_MEMBERS;
  for (let i = 0; i < lines.count; i++) {
    switch (lines.known(i)) {
      case 'content-length':
        contentLength = lines.contentLength(i);
        if (contentLength < 0) return null;
        if (bodiless) lines.remove(i);
        break;
      case 'transfer-encoding':
        if (chunked || !lines.isChunked(i)) return null;
        chunked = true;
        if (bodiless || request.http10) lines.remove(i);
        break;
      case 'trailer':
        if (request.http10) lines.remove(i);
        break;
      case 'date':
        dated = true;
        break;
      case 'www-authenticate':
      case 'proxy-authenticate':
        binding ||= bindsConnection(lines.value(i));
        break;
      case 'persistent-auth':
        binding = true;
        break;
      case 'connection':
        lastConnection = lines.value(i, lastConnection);
        connection = connection.length === 0 ? listMembers(lastConnection) : [...connection, ...listMembers(lastConnection)];
        lines.remove(i);
        break;
      case 'keep-alive':
      case 'proxy-connection':
      // The linker has read it.
      case 'pullproxy-concurrency':
        lines.remove(i);
        break;
      case 'upgrade':
        if (status !== 101 && status !== 426) lines.remove(i);
        break;
      default:
    }
  }
  removeNamed(lines, connection);
  return {
    status,
    contentLength: Math.max(0, contentLength),
    framing: framingOf(status, request.method, chunked, contentLength),
    dated,
    start,
    keepAlive: !binding && (minorVersion === 1 ? !connection.includes('close') : connection.includes('keep-alive') && !chunked),
  };
}

/** RFC 9112 section 6.3. */
function framingOf(status: number, method: string, chunked: boolean, contentLength: number): Framing {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 'none';
  if (chunked) return 'chunked';
  if (contentLength >= 0) return contentLength === 0 ? 'none' : 'length';
  return 'until-close';
}

function removeNamed(lines: HeadLines, connection: readonly string[]): void {
  for (const member of connection) {
    if (member === 'close' || member === 'keep-alive' || member === 'upgrade') continue;
    for (let i = 0; i < lines.count; i++) {
      const name = lines.name(i);
      if (name === member && name !== 'content-length' && name !== 'transfer-encoding') lines.remove(i);
    }
  }
}

/** The parser skips empty lines in front, and it also takes RTSP and ICE for HTTP. -1: neither HTTP/1.0 nor HTTP/1.1. */
function statusLineAt(bytes: Buffer): number {
  let start = 0;
  while (start < bytes.length && (bytes[start] === CR || bytes[start] === LF)) start++;
  const isHttp1 =
    bytes.length - start > VERSION.length && VERSION.compare(bytes, start, start + VERSION.length - 1, 0, VERSION.length - 1) === 0;
  return isHttp1 ? start : -1;
}

/**
 * A head whose lines end with LF alone, with CRLF instead: a recipient may take such a line for ended (RFC 9112 section 2.2), nginx and
 * HAProxy do, and what goes on is in the one form that nobody reads otherwise. Null: its lines are in order, so that is not what is wrong.
 */
export function withLineEnds(bytes: Buffer): Buffer | null {
  const parts: Buffer[] = [];
  let copied = 0;
  for (let lineStart = 0; lineStart < bytes.length; ) {
    const end = bytes.indexOf(LF, lineStart);
    if (end === -1) break;
    const isBare = end === 0 || bytes[end - 1] !== CR;
    if (isBare) {
      parts.push(bytes.subarray(copied, end), CRLF);
      copied = end + 1;
    }
    const isEmpty = end === lineStart || (end === lineStart + 1 && !isBare);
    lineStart = end + 1;
    // The body is the application's own.
    if (isEmpty && lineStart > 2) break;
  }
  if (parts.length === 0) return null;
  return Buffer.concat([...parts, bytes.subarray(copied)]);
}

/** The head as the client gets it, under our own HTTP version (RFC 9110 section 6.2), with the first bytes of the body that follow it. */
export function rewriteResponseHead(lines: HeadLines, headBytes: number, start: number, added: string, bodyBytes: number): Buffer {
  const more = added === '' ? null : Buffer.from(added, 'latin1');
  const last = VERSION.length - 1;
  if (lines.bytes[start + last] === VERSION[last]) return lines.assemble(headBytes, '', start, more, bodyBytes);
  return lines.assemble(headBytes, VERSION.toString('latin1'), start + VERSION.length, more, bodyBytes);
}
