import { PullproxyError } from '../../errors.ts';
import { isConnectionSpecific, passesInTrailers } from './fields.ts';

/** How the body of a request is framed where it goes on as HTTP/1.1. */
export type RequestFraming = 'none' | 'length' | 'chunked';

export interface RequestText {
  readonly bytes: Buffer;
  readonly framing: RequestFraming;
}

/**
 * An HTTP/2 request's head as HTTP/1.1 writes it, to be read again as strictly as any other. `fields`: names and values, one after the
 * other, pseudo-headers first. `ended`: there is no body.
 * @throws PullproxyError bad_request when it can't be said in HTTP/1.1 in one way.
 */
export function requestText(fields: readonly string[], ended: boolean): RequestText {
  const pseudo = new Map<string, string>();
  const cookies: string[] = [];
  let lines = '';
  let host: string | undefined;
  let hasLength = false;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (/[\r\n\0]/.test(value)) throw new PullproxyError('bad_request', 'control characters in a header');
    if (name.startsWith(':')) pseudo.set(name, value);
    else if (isConnectionSpecific(name)) throw new PullproxyError('bad_request', 'a connection-specific header');
    // Compression cuts them into crumbs (RFC 9113 section 8.2.3).
    else if (name === 'cookie') cookies.push(value);
    else if (name === 'host') {
      if (host !== undefined) throw new PullproxyError('bad_request', 'more than one Host');
      host = value;
    } else {
      hasLength ||= name === 'content-length';
      lines += `${name}: ${value}\r\n`;
    }
  }
  if (cookies.length > 0) lines += `cookie: ${cookies.join('; ')}\r\n`;
  const framing: RequestFraming = hasLength ? 'length' : ended ? 'none' : 'chunked';
  if (framing === 'chunked') lines += 'Transfer-Encoding: chunked\r\n';
  return { bytes: Buffer.from(`${startLine(pseudo, host)}${lines}\r\n`, 'latin1'), framing };
}

function startLine(pseudo: ReadonlyMap<string, string>, host: string | undefined): string {
  const [method, path, authority] = [pseudo.get(':method') ?? '', pseudo.get(':path') ?? '', pseudo.get(':authority')];
  if (method === 'CONNECT') throw new PullproxyError('bad_request', 'CONNECT is not served here');
  if (!/^\/[^\s]*$/.test(path) && path !== '*') throw new PullproxyError('bad_request', 'malformed request target');
  // Two names for the host are two meanings (RFC 9113 section 8.3.1).
  if (authority !== undefined && host !== undefined && authority.toLowerCase() !== host.toLowerCase()) {
    throw new PullproxyError('bad_request', 'Host is another than :authority');
  }
  const name = authority ?? host;
  return `${method} ${path} HTTP/1.1\r\n${name === undefined ? '' : `Host: ${name}\r\n`}`;
}

/** One piece of a body, as a chunk. */
export function chunkOf(piece: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`, 'latin1'), piece, Buffer.from('\r\n')]);
}

/** The end of a chunked body; `trailers`: names and values, one after the other. What frames a message is none. */
export function lastChunk(trailers: readonly string[]): Buffer {
  let lines = '';
  for (let i = 0; i < trailers.length; i += 2) {
    const [name, value] = [trailers[i] as string, trailers[i + 1] as string];
    if (passesInTrailers(name, 'request') && !/[\r\n\0]/.test(value)) lines += `${name}: ${value}\r\n`;
  }
  return Buffer.from(`0\r\n${lines}\r\n`, 'latin1');
}
