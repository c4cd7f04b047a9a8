import { STATUS_CODES } from 'node:http';
import type { ErrorCode, PullproxyError } from '../../errors.ts';
import { dateLine } from './head/date.ts';

/** Interim responses. 102: RFC 2518 section 10.1. */
export const CONTINUE = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n');
export const PROCESSING = Buffer.from('HTTP/1.1 102 Processing\r\n\r\n');

/** A response that pullproxy gives itself, with `Proxy-Status` (RFC 9209). */
export interface OwnResponse {
  readonly status: number;
  /** Its header, but for what belongs to a connection of HTTP/1.1: each line with its CRLF. */
  readonly lines: string;
  readonly body: string;
  /** All of it in HTTP/1.1. */
  readonly text: Buffer;
}

/** Header lines, each with its CRLF, as names in lower case and values. */
export function fieldsOf(lines: string): string[] {
  const each = lines.split('\r\n').filter((line) => line !== '');
  return each.flatMap((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]);
}

/** A field that is added to a response with this error; null: none. */
export type Explain = (code: ErrorCode) => string | null;

let explain: Explain | null = null;

/** For `dev`, where the client is the person who develops the application. Clients elsewhere learn nothing of it. */
export function explainErrors(by: Explain): void {
  explain = by;
}

/** `more`: more headers, each with its CRLF. */
export function errorResponse(error: PullproxyError, method: string, keepAlive: boolean, http10: boolean, more = ''): OwnResponse {
  const { status, proxyStatus, details, retryAfter } = error.kind;
  const { page } = error;
  const besides = explain?.(error.code) ?? null;
  const said = `${status} ${STATUS_CODES[status] ?? ''}: ${error.message}\n`;
  const body = page !== null ? page.html : besides === null ? said : `${said}\n${besides}\n`;
  let lines = `${dateLine()}Content-Type: text/${page === null ? 'plain' : 'html'}; charset=utf-8\r\n`;
  lines += `Content-Length: ${Buffer.byteLength(body)}\r\nCache-Control: no-store\r\n`;
  lines += `Proxy-Status: pullproxy; error=${proxyStatus}${details === undefined ? '' : `; details=${details}`}\r\n`;
  if (retryAfter !== undefined) lines += `Retry-After: ${retryAfter}\r\n`;
  if (error.location !== null) lines += `Location: ${error.location}\r\n`;
  if (page !== null) lines += page.lines;
  // It is text of the application, whatever it looks like.
  if (besides !== null) lines += 'X-Content-Type-Options: nosniff\r\n';
  lines += more;
  const connection = keepAlive ? (http10 ? 'Connection: keep-alive\r\n' : '') : 'Connection: close\r\n';
  const start = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n`;
  return { status, lines, body, text: Buffer.from(`${start}${lines}${connection}\r\n${method === 'HEAD' ? '' : body}`) };
}

/** A response of gRPC without messages: its status stands where trailers would (Trailers-Only). 4 is DEADLINE_EXCEEDED. */
export function grpcDeadlineExceeded({ kind: { proxyStatus, details }, message }: PullproxyError, more: string): OwnResponse {
  const status = `grpc-status: 4\r\ngrpc-message: ${message}\r\nProxy-Status: pullproxy; error=${proxyStatus}; details=${details}\r\n`;
  const lines = `${dateLine()}content-type: application/grpc\r\n${status}${more}Content-Length: 0\r\n`;
  return { status: 200, lines, body: '', text: Buffer.from(`HTTP/1.1 200 OK\r\n${lines}\r\n`) };
}
