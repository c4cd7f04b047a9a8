import { PullproxyError } from '../../errors.ts';
import type { RequestHead } from './head/request-head.ts';

const HTTPS_PORT = 443;

/** The response to a request that came in the clear: the same URL, by https at `port`. */
export function toHttps({ host, target }: RequestHead, port: number): PullproxyError {
  if (host === '') return new PullproxyError('bad_request', 'no Host');
  const error = new PullproxyError('https_only');
  error.location = `https://${host}${port === HTTPS_PORT ? '' : `:${port}`}${target.startsWith('/') ? target : '/'}`;
  return error;
}

/** RFC 6797 section 6.1. */
export function hstsLine(maxAgeMs: number): string {
  return `Strict-Transport-Security: max-age=${Math.floor(maxAgeMs / 1_000)}\r\n`;
}
