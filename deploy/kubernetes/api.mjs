/**
 * The cluster's API, asked with this Pod's own rights: NODE_EXTRA_CA_CERTS names the cluster's authority, and beside it lie the Pod's token and
 * namespace. Where the API is away, overloaded or restarting, it is asked again for API_PATIENCE_S seconds: clients wait for the answer.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { env } from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';

/** Less than the scaler's --command-timeout, and less than a client waits by default. */
const PATIENCE_S = 25;
const ANSWER_TIMEOUT_MS = 5_000;
const PAUSE_MS = { first: 200, most: 2_000 };
/** 504 and 500 included: each call here may be made again. A Job has its start's own name, and a change names the version that it changes. */
const isPassing = (status) => status === 429 || status >= 500;

/**
 * @param method GET, POST, PATCH (a merge patch) or DELETE
 * @param group with its version: `apis/batch/v1`, or `api/v1`
 * @param path below the group's `namespaces/NAMESPACE/`
 * @returns the status, the object, and what the API says in its own words
 * @throws Error in one line, when there is no answer in time
 */
export async function askApi(method, group, path, body) {
  const { url, token } = settings(group, path);
  const deadline = performance.now() + patienceS() * 1000;
  for (let pause = PAUSE_MS.first; ; pause = Math.min(2 * pause, PAUSE_MS.most)) {
    const asked = await once(url, { method, token, body }, Math.min(ANSWER_TIMEOUT_MS, deadline - performance.now()));
    if (asked.status !== 0 && !isPassing(asked.status)) return asked;
    // Apart from each other: many starts may have been refused at once.
    const wait = Math.max(asked.retryAfterMs, pause) * (0.75 + Math.random() / 2);
    if (performance.now() + wait >= deadline) {
      if (asked.status !== 0) return asked;
      throw new Error(`${method} ${url}: no answer in ${patienceS()} s: ${asked.message}`);
    }
    await delay(wait);
  }
}

/** The command's end: what went wrong is told in one line, without a stack. */
export async function run(command) {
  try {
    await command();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}

/** How long a command may try, in seconds. */
export function patienceS() {
  return Number(env.API_PATIENCE_S) || PATIENCE_S;
}

function settings(group, path) {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port, NODE_EXTRA_CA_CERTS: authority } = env;
  for (const [name, value] of Object.entries({
    KUBERNETES_SERVICE_HOST: host,
    KUBERNETES_SERVICE_PORT: port,
    NODE_EXTRA_CA_CERTS: authority,
  })) {
    if (!value) throw new Error(`${name} is missing: give the scaler --command-env ${name}`);
  }
  const read = (name) => readFileSync(join(dirname(authority), name), 'utf8').trim();
  const namespace = env.POD_NAMESPACE || read('namespace');
  const url = `https://${host.includes(':') ? `[${host}]` : host}:${port}/${group}/namespaces/${namespace}/${path}`;
  return { url, token: read('token') };
}

async function once(url, { method, token, body }, timeoutMs) {
  try {
    const response = await fetch(url, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': `application/${method === 'PATCH' ? 'merge-patch+' : ''}json` },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(Math.max(1, Math.round(timeoutMs))),
    });
    const retryAfterS = Number(response.headers.get('retry-after') ?? 0);
    const text = await response.text();
    const object = objectOf(text);
    return { status: response.status, object, message: messageOf(object, text), retryAfterMs: 1000 * (retryAfterS || 0) };
  } catch (error) {
    return { status: 0, object: null, message: error.cause?.message ?? error.message, retryAfterMs: 0 };
  }
}

function objectOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** What the API says in its own words: "jobs.batch is forbidden: ...". */
function messageOf(object, text) {
  return object === null ? text.slice(0, 500) : String(object.message);
}
