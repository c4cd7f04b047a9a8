/** Who may see and change things at the admin port. A pure decision over the facts of one request. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { isLoopback } from '../config/host-port.ts';

export interface AdminRequest {
  /** False for GET and HEAD. */
  readonly changes: boolean;
  /** It shows nothing of the cluster: the page itself, the description of the API. */
  readonly tokenless?: boolean;
  /** Address of the connection's other end. */
  readonly peer: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface Refusal {
  readonly status: 401 | 403;
  readonly code: 'unauthorized' | 'forbidden';
  readonly message: string;
}

/**
 * Null when the request may go on.
 * @param token what calls must carry; without one everybody may read, and changing calls must come from this machine
 * @param boundHost the host that the admin port listens at, as it was configured
 */
export function refusal(request: AdminRequest, token: string | undefined, boundHost: string): Refusal | null {
  const { headers } = request;
  if (token === undefined && !hostIsOurs(single(headers.host), boundHost)) {
    // Somebody else's name that was made to point here (DNS rebinding) would let their page read answers as its own.
    return forbidden('without --admin-token, the Host must be an IP address, localhost or the address that --admin names');
  }
  if (request.changes && crossSite(headers)) return forbidden('not from a page of another site');
  // Whoever made a name point here does not know it, and may therefore come by any name.
  if (token !== undefined) {
    if (request.tokenless) return null;
    const given = /^Bearer (.+)$/i.exec(single(headers.authorization))?.[1];
    if (given !== undefined && sameText(given, token)) return null;
    return { status: 401, code: 'unauthorized', message: 'needs "Authorization: Bearer" with the token that --admin-token names' };
  }
  if (!request.changes) return null;
  // A proxy on this machine that passes strangers on is no permission.
  const passedOn = ['x-forwarded-for', 'forwarded', 'via'].some((name) => headers[name] !== undefined);
  return isLoopback(request.peer) && !passedOn ? null : forbidden('without --admin-token, changes are possible from the same machine only');
}

/** An IP address is what the browser itself asked for: no name was resolved, so none can have been bent. */
function hostIsOurs(host: string, boundHost: string): boolean {
  const name = /^(?:\[([^\]]+)\]|([^:]+))(?::\d+)?$/.exec(host);
  const plain = (name?.[1] ?? name?.[2] ?? '').toLowerCase();
  return plain === 'localhost' || plain === boundHost.toLowerCase() || isIP(plain) !== 0;
}

function crossSite(headers: AdminRequest['headers']): boolean {
  const site = headers['sec-fetch-site'];
  // Another port of this machine is the same site, and nobody to be trusted.
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  const origin = headers.origin;
  return origin !== undefined && URL.parse(single(origin))?.host !== single(headers.host).toLowerCase();
}

/** Takes the same time whatever differs; hashed first, since the comparison wants equal lengths. */
function sameText(a: string, b: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}

function single(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value[0] : value) ?? '';
}

function forbidden(message: string): Refusal {
  return { status: 403, code: 'forbidden', message };
}
