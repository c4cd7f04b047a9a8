import { STATUS_CODES } from 'node:http';
import type { PullproxyError } from '../../errors.ts';
import { dateLine } from './head/date.ts';
import { WAITING_PAGE } from './waiting-page.ts';

/** The responses that pullproxy gives itself, with `Proxy-Status` (RFC 9209). `lines`: more headers, each with its CRLF. */
export function errorResponse(error: PullproxyError, method: string, keepAlive: boolean, http10: boolean, lines = ''): Buffer {
  const { status, proxyStatus, details, retryAfter } = error.kind;
  const isPage = error.code === 'waiting_page';
  const body = isPage ? WAITING_PAGE : `${status} ${STATUS_CODES[status] ?? ''}: ${error.message}\n`;
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n${dateLine()}`;
  head += `Content-Type: text/${isPage ? 'html' : 'plain'}; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nCache-Control: no-store\r\n`;
  head += `Proxy-Status: pullproxy; error=${proxyStatus}${details === undefined ? '' : `; details=${details}`}\r\n`;
  if (retryAfter !== undefined) head += `Retry-After: ${retryAfter}\r\n`;
  if (error.location !== null) head += `Location: ${error.location}\r\n`;
  head += lines;
  if (!keepAlive) head += 'Connection: close\r\n';
  else if (http10) head += 'Connection: keep-alive\r\n';
  return Buffer.from(`${head}\r\n${method === 'HEAD' ? '' : body}`);
}

/** A response of gRPC without messages: its status stands where trailers would (Trailers-Only). 4 is DEADLINE_EXCEEDED. */
export function grpcDeadlineExceeded({ kind: { proxyStatus, details }, message }: PullproxyError, lines: string): Buffer {
  const status = `grpc-status: 4\r\ngrpc-message: ${message}\r\nProxy-Status: pullproxy; error=${proxyStatus}; details=${details}\r\n`;
  return Buffer.from(`HTTP/1.1 200 OK\r\n${dateLine()}content-type: application/grpc\r\n${status}${lines}Content-Length: 0\r\n\r\n`);
}
