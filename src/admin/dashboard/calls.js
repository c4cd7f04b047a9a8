/** Calls that change something, with the token if one is needed. */
import { askToken, toast } from './dialogs.js';

const KEPT = 'pullproxy-token';

export class Refused extends Error {}

/** The answer's JSON. Throws `Refused` with what the server says, null when the person gave no token. */
export async function call(method, path, body) {
  let wrong = false;
  for (;;) {
    const response = await send(method, path, body);
    if (response.ok) return response.status === 204 ? {} : response.json();
    const { error } = await response.json().catch(() => ({}));
    if (response.status !== 401) throw new Refused(error?.message ?? `answered with ${response.status}`);
    const token = await askToken(wrong || kept() !== null);
    if (token === null) return null;
    sessionStorage.setItem(KEPT, token);
    wrong = true;
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

function send(method, path, body) {
  const headers = {};
  if (kept() !== null) headers.authorization = `Bearer ${kept()}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  return fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
}
