import { PullproxyError } from '../../errors.ts';
import { Body, NO_BODY, type RequestBody } from './body.ts';
import type { ForwardedFrom } from './head/forwarding.ts';
import { parseHead } from './head/llhttp.ts';
import { readRequestHead, type TextHead } from './head/request-head.ts';

/** `complete`: the head takes up `bytes`, and its body follows. */
export type NextRequest =
  | { readonly kind: 'complete'; readonly head: TextHead; readonly bytes: number; readonly body: RequestBody }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'refused'; readonly error: PullproxyError };

/** Reads the request whose head begins `bytes`. */
export function nextRequest(bytes: Buffer, headBytesMax: number, from: ForwardedFrom): NextRequest {
  const parsed = parseHead('request', bytes);
  if (parsed.kind === 'invalid') return { kind: 'refused', error: new PullproxyError('bad_request', parsed.reason) };
  if (parsed.kind === 'incomplete')
    return bytes.length > headBytesMax ? { kind: 'refused', error: new PullproxyError('head_too_large') } : parsed;
  const { parser } = parsed;
  try {
    if (parsed.bytes > headBytesMax) throw new PullproxyError('head_too_large');
    const head = readRequestHead(parser, parsed.bytes, from);
    const body = head.framing === 'none' ? null : new Body(head.framing, head.contentLength, parser);
    parser.headRead(body === null || body.isCounted);
    return { kind: 'complete', head, bytes: parsed.bytes, body: body ?? NO_BODY };
  } catch (error) {
    parser.release();
    if (!(error instanceof PullproxyError)) throw error;
    return { kind: 'refused', error };
  }
}

/** Some clients end a body with one CRLF too many (RFC 9112 section 2.2). */
export function withoutEmptyLines(bytes: Buffer): Buffer {
  let start = 0;
  while (bytes[start] === 0x0d && bytes[start + 1] === 0x0a) start += 2;
  return start === 0 ? bytes : bytes.subarray(start);
}
