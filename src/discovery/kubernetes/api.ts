/** The API of Kubernetes: one namespace of it. What comes back is bounded in time and size, and is nobody's word until it is checked. */
import { readFile } from 'node:fs/promises';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { guard } from '../../boundary.ts';
import type { KubernetesPlace } from '../../config/kubernetes-api.ts';
import { reasonOf } from '../../errors.ts';
import { type Fields, isFields, saidIn } from '../fields.ts';

const ANSWER_BYTES_MAX = 32 * 1_048_576;
const REFUSAL_BYTES_MAX = 65_536;
/** etcd takes objects of 1.5 MB. */
const LINE_CHARS_MAX = 4 * 1_048_576;
const LINE_FEED = 10;
const ANSWER_TIMEOUT_MS = 15_000;
/** A watch ends after this time, and the next one goes on from there. */
const WATCH_S = 240;
const RETRY_AFTER_S_MAX = 60;
/** A dead connection is found by its silence. */
const KEEP_ALIVE_MS = 15_000;

export interface Call {
  readonly verb: 'get' | 'list' | 'watch' | 'patch';
  readonly resource: 'deployments' | 'pods' | 'namespaces';
  /** For get and patch; it is checked already. */
  readonly name?: string;
  readonly query?: Readonly<Record<string, string>>;
  /** A merge patch. */
  readonly patch?: object;
}

export class KubernetesError extends Error {
  /** 0: there was no answer. */
  readonly status: number;
  readonly retryAfterMs: number;

  constructor(message: string, status = 0, retryAfterMs = 0) {
    super(message);
    this.name = 'KubernetesError';
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }

  /** The same request may be answered well a little later. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 409 || this.status === 429 || this.status >= 500;
  }

  /** It began at a version that is not known any more. */
  get isGone(): boolean {
    return this.status === 410;
  }
}

export class KubernetesApi {
  readonly #place: KubernetesPlace;

  constructor(place: KubernetesPlace) {
    this.#place = place;
  }

  get namespace(): string {
    return this.#place.namespace;
  }

  /** The object of the answer. @throws KubernetesError */
  async ask(call: Call, signal: AbortSignal): Promise<Fields> {
    const { text } = await this.#within(ANSWER_TIMEOUT_MS, signal, async (within) => {
      const answer = await this.#open(call, within);
      return { text: await bounded(answer, ANSWER_BYTES_MAX) };
    });
    return objectOf(text);
  }

  /** Calls `event` with each object of a watch. Resolves when the watch has ended in order. @throws KubernetesError */
  async watch(call: Call, event: (object: Fields) => void, signal: AbortSignal): Promise<void> {
    const query = { ...call.query, watch: 'true', allowWatchBookmarks: 'true', timeoutSeconds: String(WATCH_S) };
    await this.#within(WATCH_S * 1_000 + ANSWER_TIMEOUT_MS, signal, async (within) => {
      const answer = await this.#open({ ...call, verb: 'watch', query }, within);
      const decoder = new StringDecoder('utf8');
      let rest = '';
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        rest += decoder.write(chunk);
        // An event of many chunks is not searched again for each of them.
        if (chunk.includes(LINE_FEED)) {
          const lines = rest.split('\n');
          rest = lines.pop() ?? '';
          for (const line of lines) if (line.trim() !== '') event(objectOf(line));
        }
        if (rest.length > LINE_CHARS_MAX) throw new KubernetesError(`an event has more than ${LINE_CHARS_MAX} characters`);
      }
    });
  }

  /** What fails in it is told as an error of the API, with words for people. */
  async #within<T>(timeoutMs: number, signal: AbortSignal, work: (within: AbortSignal) => Promise<T>): Promise<T> {
    const overdue = AbortSignal.timeout(timeoutMs);
    try {
      return await work(AbortSignal.any([signal, overdue]));
    } catch (error) {
      if (error instanceof KubernetesError) throw error;
      if (overdue.aborted) throw new KubernetesError('the API of Kubernetes does not answer in time');
      const { code } = error as NodeJS.ErrnoException;
      throw new KubernetesError(`the API of Kubernetes can not be reached at ${this.#place.url.origin}: ${code ?? reasonOf(error)}`);
    }
  }

  /** Resolves with an answer that means success. */
  async #open(call: Call, signal: AbortSignal): Promise<IncomingMessage> {
    const [token, ca] = await Promise.all([this.#file('token'), this.#file('ca.crt')]);
    const { url } = this.#place;
    const isSecure = url.protocol === 'https:';
    const body = call.patch === undefined ? undefined : JSON.stringify(call.patch);
    const headers = {
      Accept: 'application/json',
      'User-Agent': 'pullproxy',
      ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'Content-Type': 'application/merge-patch+json', 'Content-Length': Buffer.byteLength(body) }),
    };
    const method = body === undefined ? 'GET' : 'PATCH';
    const options = { method, headers, signal, agent: false as const, ...(isSecure && ca !== null ? { ca } : {}) };
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    // An address of IPv6 is without brackets here.
    const place = {
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? undefined : Number(url.port),
      path: this.#path(call),
    };
    const sent = (isSecure ? requestHttps : requestHttp)({ ...place, ...options });
    const late = guard('discovery', () => sent.destroy(new KubernetesError('the API of Kubernetes does not answer in time')));
    const overdue = setTimeout(late, ANSWER_TIMEOUT_MS);
    sent.setSocketKeepAlive(true, KEEP_ALIVE_MS);
    sent.on('response', resolve);
    sent.on('error', reject);
    sent.end(body);
    try {
      const answer = await promise;
      if (answer.statusCode !== 200) throw await this.#refusal(call, answer);
      return answer;
    } finally {
      clearTimeout(overdue);
    }
  }

  #path({ resource, name, query = {} }: Call): string {
    const group = resource === 'deployments' ? '/apis/apps/v1' : '/api/v1';
    const below = resource === 'namespaces' ? '' : `/${resource}${name === undefined ? '' : `/${name}`}`;
    const asked = new URLSearchParams(query).toString();
    return `${group}/namespaces/${this.namespace}${below}${asked === '' ? '' : `?${asked}`}`;
  }

  /** Null: there is none. A token is replaced before it expires. */
  async #file(name: string): Promise<string | null> {
    try {
      return (await readFile(join(this.#place.credentials, name), 'utf8')).trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw new KubernetesError(`${join(this.#place.credentials, name)} can not be read: ${(error as NodeJS.ErrnoException).code}`);
    }
  }

  async #refusal({ verb, resource }: Call, answer: IncomingMessage): Promise<KubernetesError> {
    const status = answer.statusCode ?? 0;
    const said = saidIn(await bounded(answer, REFUSAL_BYTES_MAX));
    const seconds = Number(answer.headers['retry-after'] ?? 0);
    const retryAfterMs = seconds > 0 ? Math.min(seconds, RETRY_AFTER_S_MAX) * 1_000 : 0;
    const words =
      status === 401
        ? 'the API of Kubernetes does not take the token of this scaler (401)'
        : status === 403
          ? `this scaler may not ${verb} ${resource} in the namespace ${this.namespace} (403): its Role must allow that`
          : `the API of Kubernetes answers ${status} to ${verb} ${resource}`;
    return new KubernetesError(said === '' ? words : `${words}: ${said}`, status, retryAfterMs);
  }
}

/** Throws from the loop, which ends the connection. */
async function bounded(answer: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new KubernetesError(`the API of Kubernetes has answered with more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function objectOf(text: string): Fields {
  try {
    const value: unknown = JSON.parse(text);
    if (isFields(value)) return value;
  } catch {
    // Below.
  }
  throw new KubernetesError('the API of Kubernetes has answered with something that is no object in JSON');
}
