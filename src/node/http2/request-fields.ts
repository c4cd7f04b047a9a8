import type { ClientStream } from './client-stream.ts';
import { areRegular, type Fields } from './fields.ts';
import type { DecodedBlock } from './hpack-decoder.ts';

/** A request that has begun. */
export interface OpenedRequest {
  readonly stream: ClientStream;
  readonly fields: Fields;
  /** It has no body. */
  readonly ended: boolean;
  /** Why it is answered here, where it is. */
  readonly fault: 'malformed' | 'too large' | null;
}

const COLON = 0x3a;
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*$/;
const AUTHORITY = /^[A-Za-z0-9\-._~%!$&'()*+,;=:[\]]*$/;
const HOST = /^[A-Za-z0-9\-._~%!$&'()*+,;=:@[\]]*$/;
const PATH = /^\/[\x21-\x7e\x80-\xff]*$/;

/** `reset`: malformed in a way that leaves nothing to be answered. `refuse`: it is answered with 400. */
export type HeadVerdict = 'fine' | 'reset' | 'refuse';

/** Judges a header block that begins a request. A name in upper case is no request of HTTP/2 (RFC 9113 section 8.2.1). */
export function judgeBlock({ fields, isMalformed, isTooLarge }: DecodedBlock): HeadVerdict {
  if (isMalformed) return fields.some((text, i) => i % 2 === 0 && /[A-Z]/.test(text)) ? 'reset' : 'refuse';
  return isTooLarge ? 'refuse' : judgeHead(fields);
}

/** Judges a request's head (RFC 9113 section 8.3.1). */
export function judgeHead(fields: Fields): HeadVerdict {
  let method: string | null = null;
  let scheme: string | null = null;
  let path: string | null = null;
  let authority: string | null = null;
  let first = 0;
  for (; first < fields.length && (fields[first] as string).charCodeAt(0) === COLON; first += 2) {
    const value = fields[first + 1] as string;
    const name = fields[first];
    if (name === ':method' && method === null) method = value;
    else if (name === ':scheme' && scheme === null) scheme = value;
    else if (name === ':path' && path === null) path = value;
    else if (name === ':authority' && authority === null) authority = value;
    // One that nobody knows, or twice the same.
    else return 'reset';
  }
  if (method === null || !METHOD.test(method)) return 'reset';
  if (method === 'CONNECT') {
    if (scheme !== null || path !== null || authority === null) return 'reset';
  } else if (scheme === null || !SCHEME.test(scheme) || path === null) return 'reset';
  else if (!PATH.test(path) && (path !== '*' || method !== 'OPTIONS')) return 'reset';
  if (authority !== null && !AUTHORITY.test(authority)) return 'reset';
  return judgeRegular(fields, first);
}

function judgeRegular(fields: Fields, first: number): HeadVerdict {
  if (!areRegular(fields, first)) return 'reset';
  let hasLength = false;
  for (let i = first; i < fields.length; i += 2) {
    const value = fields[i + 1] as string;
    switch (fields[i]) {
      case 'te':
        if (value.toLowerCase() !== 'trailers') return 'reset';
        break;
      case 'content-length':
        if (hasLength || !/^\d{1,15}$/.test(value)) return 'reset';
        hasLength = true;
        break;
      case 'host':
        if (!HOST.test(value)) return 'refuse';
        break;
      default:
    }
  }
  return 'fine';
}

/** -1: it says none. */
export function contentLengthOf(fields: Fields): number {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === 'content-length') return Number(fields[i + 1]);
  return -1;
}
