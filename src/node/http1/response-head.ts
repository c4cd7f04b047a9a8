import type { Framing } from './body.ts';
import { assembleHead, headerName, headerValue, knownHeader, listMembers, removal } from './headers.ts';
import { type Parser, spans } from './llhttp.ts';

/** What the proxy needs to know of an application's answer. */
export interface ResponseHead {
  readonly status: number;
  readonly framing: Framing;
  readonly contentLength: number;
  /** The application will take another request on this connection. */
  readonly keepAlive: boolean;
}

/** Reads the head that was parsed last and marks its hop-by-hop headers for removal; null when it can't be understood in one way. */
export function readResponseHead(bytes: Buffer, parser: Parser, method: string): ResponseHead | null {
  const status = spans.status;
  const version = parser.version;
  if (spans.tooMany || status < 100 || (version !== '1.1' && version !== '1.0')) return null;
  let contentLength = -1;
  let chunked = false;
  let connection: string[] | null = null;
  removal.clear();
  for (let i = 0; i < spans.count; i++) {
    switch (knownHeader(bytes, i)) {
      case 'content-length': {
        const value = headerValue(bytes, i);
        contentLength = Number(value);
        if (!/^\d{1,16}$/.test(value)) return null;
        break;
      }
      case 'transfer-encoding': {
        if (chunked || !headerValue(bytes, i).toLowerCase().endsWith('chunked')) return null;
        chunked = true;
        break;
      }
      case 'connection':
        connection ??= [];
        connection.push(...listMembers(headerValue(bytes, i)));
        removal.add(i);
        break;
      case 'keep-alive':
      case 'proxy-connection':
        removal.add(i);
        break;
      case 'upgrade':
        if (status !== 101) removal.add(i);
        break;
      default:
    }
  }
  if (connection !== null) removeNamed(bytes, connection);
  return {
    status,
    contentLength: Math.max(0, contentLength),
    framing: framingOf(status, method, chunked, contentLength),
    keepAlive: spans.keepAlive,
  };
}

/** RFC 9112 section 6.3. */
function framingOf(status: number, method: string, chunked: boolean, contentLength: number): Framing {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 'none';
  if (chunked) return 'chunked';
  if (contentLength >= 0) return contentLength === 0 ? 'none' : 'length';
  return 'until-close';
}

function removeNamed(bytes: Buffer, connection: readonly string[]): void {
  for (const member of connection) {
    if (member === 'close' || member === 'keep-alive' || member === 'upgrade') continue;
    for (let i = 0; i < spans.count; i++) {
      const name = headerName(bytes, i);
      if (name === member && name !== 'content-length' && name !== 'transfer-encoding') removal.add(i);
    }
  }
}

export type ClientConnectionHeader = '' | 'Connection: close\r\n' | 'Connection: keep-alive\r\n' | 'Connection: upgrade\r\n';

/** The head as the client gets it, under our own HTTP version (RFC 9110 section 6.2), with the body's first bytes behind it. */
export function rewriteResponseHead(bytes: Buffer, headBytes: number, connection: ClientConnectionHeader, tail: Buffer | null): Buffer {
  const lineStart = bytes.indexOf('HTTP/');
  const lineEnd = bytes.indexOf('\r\n', lineStart);
  return assembleHead(bytes, headBytes, `HTTP/1.1${bytes.toString('latin1', lineStart + 8, lineEnd)}\r\n`, connection, tail);
}
