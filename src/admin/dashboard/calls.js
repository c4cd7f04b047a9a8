/** Calls, with the token if one is needed. */
import { askToken, toast } from './dialogs.js';

const KEPT = 'pullproxy-token';

export class Refused extends Error {}

/**
 * The response's JSON. Throws `Refused` with what the server says, null when the person gave no token.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Record<string, string>} [more] headers
 */
export async function call(method, path, body, more) {
  const response = await responseOf(method, path, body, more);
  if (response === null) return null;
  if (response.ok) return response.status === 204 ? {} : response.json();
  const { error } = await response.json().catch(() => ({}));
  throw new Refused(error?.message ?? `answered with ${response.status}`);
}

/** The question that is open: several calls may need its response. */
let asking = null;

/** The response, which is not one that asks for the token; null when the person gave none. */
export async function responseOf(method, path, body, more = {}) {
  for (;;) {
    const used = kept();
    const response = await send(method, path, body, more);
    if (response.status !== 401) return response;
    // Another call has asked meanwhile.
    if (kept() !== used) continue;
    asking ??= askToken(used !== null).finally(() => {
      asking = null;
    });
    const token = await asking;
    if (token === null) return null;
    sessionStorage.setItem(KEPT, token);
  }
}

/** Does it and says what came of it, in a note at the page's edge. */
export async function attempt(done, method, path, body) {
  try {
    if ((await call(method, path, body)) !== null) toast('good', done);
  } catch (error) {
    toast('bad', error instanceof Refused ? error.message : 'The node does not answer.');
  }
}

/** For this tab only, until it is closed. */
export function kept() {
  return sessionStorage.getItem(KEPT);
}

export function forget() {
  sessionStorage.removeItem(KEPT);
}

function send(method, path, body, more) {
  const headers = { ...more };
  if (kept() !== null) headers.authorization = `Bearer ${kept()}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  return fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
}
