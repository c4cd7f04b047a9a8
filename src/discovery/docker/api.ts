/** Docker's HTTP API, at a UNIX socket or a TCP address. What comes back is bounded in time and size, and is nobody's word until it is checked. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { guard } from '../../boundary.ts';
import type { DockerHost } from '../../config/docker-host.ts';
import { messageOf } from '../../errors.ts';
import { saidIn } from '../fields.ts';

const ANSWER_BYTES_MAX = 32 * 1_048_576;
const LINE_CHARS_MAX = 262_144;
const ANSWER_TIMEOUT_MS = 15_000;
/** What Docker 20.10 speaks, and the oldest that Docker 29 speaks. */
const VERSIONS = ['1.41', '1.44'] as const;

/** Docker has answered with something else than success. */
export class DockerRefusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'DockerRefusal';
    this.status = status;
  }
}

export interface Asked {
  readonly method?: 'GET' | 'POST';
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export class DockerApi {
  readonly #host: DockerHost;
  #version: string | null = null;

  constructor(host: DockerHost) {
    this.#host = host;
  }

  /** Asks which version it speaks, which may be another one after an upgrade. */
  async greet(signal: AbortSignal): Promise<void> {
    this.#version = null;
    const { headers } = await this.#call('/_ping', { signal });
    const said = /^1\.(\d{1,4})$/.exec(String(headers['api-version'] ?? ''));
    this.#version = Number(said?.[1] ?? 0) >= 44 ? VERSIONS[1] : VERSIONS[0];
  }

  /** The parsed answer; null for an empty one. @throws DockerRefusal, or Error when it does not answer */
  async ask(path: string, asked: Asked = {}): Promise<unknown> {
    if (this.#version === null) await this.greet(asked.signal ?? AbortSignal.timeout(ANSWER_TIMEOUT_MS));
    const { status, body } = await this.#call(`/v${this.#version}${path}`, asked);
    // 304: it is as it was to be.
    if (status >= 400) throw new DockerRefusal(status, `Docker says: ${saidIn(body) || `status ${status}`}`);
    if (body === '') return null;
    try {
      return JSON.parse(body);
    } catch {
      throw new Error('Docker has answered with something that is no JSON');
    }
  }

  /**
   * Calls `line` with each line of an answer that does not end. Resolves with a promise that rejects when it has ended, as it does also after
   * `signal` has aborted.
   */
  async stream(path: string, line: (text: string) => void, signal: AbortSignal): Promise<{ readonly over: Promise<never> }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ readonly over: Promise<never> }>();
    const over = Promise.withResolvers<never>();
    over.promise.catch(() => {});
    const end = (error: Error): void => {
      reject(error);
      over.reject(error);
      sent.destroy();
    };
    const sent = this.#request(`/v${this.#version ?? VERSIONS[0]}${path}`, { signal });
    const late = guard('discovery', () => end(new Error('Docker does not answer')));
    const overdue = setTimeout(late, ANSWER_TIMEOUT_MS);
    const came = guard('discovery', (answer: IncomingMessage) => {
      clearTimeout(overdue);
      if (answer.statusCode !== 200) return end(new Error(`Docker says: status ${answer.statusCode}`));
      let rest = '';
      answer.setEncoding('utf8');
      const read = guard('discovery', (chunk: string) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const text of lines) if (text.trim() !== '') line(text);
        if (rest.length > LINE_CHARS_MAX) end(new Error(`Docker has sent a line of more than ${LINE_CHARS_MAX} characters`));
      });
      answer.on('data', read);
      answer.on('error', end);
      answer.on('close', () => end(new Error('Docker has closed the stream of its events')));
      resolve({ over: over.promise });
    });
    sent.on('response', came);
    const failed = guard('discovery', (error: Error) => {
      clearTimeout(overdue);
      end(new Error(unreachable(this.#host, error)));
    });
    sent.on('error', failed);
    sent.end();
    return promise;
  }

  #request(path: string, { method = 'GET', signal }: Asked): ClientRequest {
    const { socketPath, host, port } = this.#host;
    const place = socketPath === undefined ? { host, port } : { socketPath };
    return request({ ...place, path, method, agent: false, headers: { Host: 'docker' }, ...(signal === undefined ? {} : { signal }) });
  }

  #call(path: string, asked: Asked): Promise<{ status: number; headers: IncomingMessage['headers']; body: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; headers: IncomingMessage['headers']; body: string }>();
    const sent = this.#request(path, asked);
    const late = guard('discovery', () => fail(new Error('Docker does not answer in time')));
    const overdue = setTimeout(late, asked.timeoutMs ?? ANSWER_TIMEOUT_MS);
    const fail = (error: Error): void => {
      clearTimeout(overdue);
      reject(error);
      sent.destroy();
    };
    const came = guard('discovery', (answer: IncomingMessage) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      const read = guard('discovery', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX) return fail(new Error(`Docker has answered with more than ${ANSWER_BYTES_MAX} bytes`));
        chunks.push(chunk);
      });
      answer.on('data', read);
      answer.on('error', fail);
      answer.on('end', () => {
        clearTimeout(overdue);
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks).toString('utf8') });
      });
      answer.on('close', () => fail(new Error('Docker has broken off its answer')));
    });
    sent.on('response', came);
    const failed = guard('discovery', (error: Error) => fail(new Error(unreachable(this.#host, error))));
    sent.on('error', failed);
    sent.end();
    return promise;
  }
}

function unreachable({ said }: DockerHost, error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EACCES') return `this user may not open ${said}: it must be in the group that owns it, in a container by --group-add`;
  if (code === 'ENOENT') return `there is no ${said}: does Docker run, and is the socket mounted?`;
  return `Docker can not be reached at ${said}: ${code ?? messageOf(error)}`;
}
