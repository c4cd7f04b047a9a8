/** Decides who may read and change things at the admin port: a pure function of the facts of one request. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { isLoopback } from '../config/host-port.ts';

export interface AdminRequest {
  /** False for GET and HEAD. */
  readonly changes: boolean;
  /** The response shows nothing of the cluster: the page itself, the description of the API. */
  readonly tokenless?: boolean;
  /** The address of the peer. */
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
 * @param token the token that calls must have; without one everybody may read, and changing calls must come from this machine
 * @param boundHost the configured host of the admin port
 */
export function refusal(request: AdminRequest, token: string | undefined, boundHost: string): Refusal | null {
  const { headers } = request;
  if (token === undefined && !hostIsOurs(single(headers.host), boundHost)) {
    // A foreign name that resolves to this address (DNS rebinding) would let a foreign page read responses.
    return forbidden('without --admin-token, the Host must be an IP address, localhost or the address that --admin names');
  }
  if (request.changes && crossSite(headers)) return forbidden('not from a page of another site');
  // An attacker who made a name point here does not know the token, so any name is allowed with it.
  if (token !== undefined) {
    if (request.tokenless) return null;
    const given = /^Bearer (.+)$/i.exec(single(headers.authorization))?.[1];
    if (given !== undefined && sameText(given, token)) return null;
    return { status: 401, code: 'unauthorized', message: 'needs "Authorization: Bearer" with the token that --admin-token names' };
  }
  if (!request.changes) return null;
  // A proxy on this machine that forwards strangers is no permission.
  const passedOn = ['x-forwarded-for', 'forwarded', 'via'].some((name) => headers[name] !== undefined);
  return isLoopback(request.peer) && !passedOn ? null : forbidden('without --admin-token, changes are possible from the same machine only');
}

/** With an IP address the browser resolved no name, so no name was forged. */
function hostIsOurs(host: string, boundHost: string): boolean {
  const name = /^(?:\[([^\]]+)\]|([^:]+))(?::\d+)?$/.exec(host);
  const plain = (name?.[1] ?? name?.[2] ?? '').toLowerCase();
  return plain === 'localhost' || plain === boundHost.toLowerCase() || isIP(plain) !== 0;
}

function crossSite(headers: AdminRequest['headers']): boolean {
  const site = headers['sec-fetch-site'];
  // Another port of this machine is the same site for a browser, but it is not trusted.
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  const origin = headers.origin;
  return origin !== undefined && URL.parse(single(origin))?.host !== single(headers.host).toLowerCase();
}

/** Takes the same time wherever the texts differ. They are hashed first, because the comparison needs equal lengths. */
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
