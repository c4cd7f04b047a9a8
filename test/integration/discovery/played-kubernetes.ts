/** The API of Kubernetes as a scaler uses it: Deployments and Pods of one namespace, with versions, and watches. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Certificate } from '../../support/certificate.ts';

export interface Stored {
  readonly metadata: { readonly name: string; resourceVersion: string; annotations: Record<string, string | null>; [key: string]: unknown };
  // biome-ignore lint/suspicious/noExplicitAny: an object of the API.
  readonly [key: string]: any;
}

type Odd = (request: IncomingMessage, response: ServerResponse, url: URL) => boolean;

export class PlayedKubernetes {
  readonly deployments = new Map<string, Stored>();
  readonly pods = new Map<string, Stored>();
  /** Method, resource, and what a watch goes on from. */
  readonly asked: string[] = [];
  readonly tokens = new Set<string>();
  /** Changes that others make first, each before one of the next changes. */
  meddling = 0;
  /** True: it has answered itself. */
  odd: Odd = () => false;
  port = 0;
  readonly #certificate: Certificate | null;
  readonly #watches = new Set<ServerResponse>();
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  #version = 100;

  constructor(certificate: Certificate | null = null) {
    this.#certificate = certificate;
  }

  get url(): URL {
    return new URL(`${this.#certificate === null ? 'http' : 'https'}://127.0.0.1:${this.port}`);
  }

  get watches(): number {
    return this.#watches.size;
  }

  async open(): Promise<void> {
    const listener: RequestListener = (request, response) => void this.#answer(request, response);
    const { cert, key } = this.#certificate ?? {};
    const server = cert === undefined || key === undefined ? createServer(listener) : createSecureServer({ cert, key }, listener);
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    });
    await once(server.listen(this.port, '127.0.0.1'), 'listening');
    this.port = (server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  deploy(name: string, annotations: Record<string, string>, replicas = 0): Stored {
    const before = this.deployments.get(name);
    const metadata = { name, resourceVersion: this.#next(), creationTimestamp: new Date().toISOString(), annotations: { ...annotations } };
    const spec = { replicas, selector: { matchLabels: { app: name } } };
    const stored = { metadata, spec, status: { readyReplicas: 0 } };
    this.deployments.set(name, stored);
    this.tell(before === undefined ? 'ADDED' : 'MODIFIED', stored);
    return stored;
  }

  remove(name: string): void {
    const stored = this.deployments.get(name);
    this.deployments.delete(name);
    if (stored === undefined) return;
    stored.metadata.resourceVersion = this.#next();
    this.tell('DELETED', stored);
  }

  pod(name: string, deployment: string, state: 'ready' | 'starts' | 'has left'): Stored {
    const at = (secondsAgo: number): string => new Date(Date.now() - secondsAgo * 1_000).toISOString();
    const lastTransitionTime = at(state === 'starts' ? 130 : 60);
    const condition = { type: 'ContainersReady', status: state === 'ready' ? 'True' : 'False', lastTransitionTime };
    const stored = {
      metadata: {
        ...{
          name,
          uid: `uid-${name}`,
          resourceVersion: this.#next(),
          creationTimestamp: at(state === 'starts' ? 1 : 130),
          annotations: {},
        },
        ownerReferences: [{ kind: 'ReplicaSet', name: `${deployment}-5d4f` }],
      },
      status: {
        phase: 'Running',
        conditions: [condition],
        containerStatuses: [{ restartCount: 0, state: { running: { startedAt: at(120) } } }],
      },
    };
    this.pods.set(name, stored);
    return stored;
  }

  tell(type: string, object: object): void {
    for (const watch of this.#watches) watch.write(`${JSON.stringify({ type, object })}\n`);
  }

  /** Bytes on all watches. */
  write(text: string): void {
    for (const watch of this.#watches) watch.write(text);
  }

  endWatches(): void {
    for (const watch of this.#watches) watch.end();
  }

  #next(): string {
    return String(++this.#version);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', this.url);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const [, resource = 'namespace', name] = /\/namespaces\/web\/(\w+)(?:\/([\w-]+))?/.exec(url.pathname) ?? [];
    const from = url.searchParams.get('watch') === 'true' ? ` from ${url.searchParams.get('resourceVersion')}` : '';
    this.asked.push(`${request.method} ${resource}${from}`);
    this.tokens.add(request.headers.authorization ?? '');
    if (this.odd(request, response, url)) return;
    const say = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (resource === 'namespace') return say(200, { metadata: { name: 'web', uid: '1a2b3c4d-0000' } });
    if (from !== '') {
      response.writeHead(200).flushHeaders();
      this.#watches.add(response);
      response.on('close', () => this.#watches.delete(response));
      return;
    }
    const found = resource === 'pods' ? this.pods : this.deployments;
    if (name === undefined) return say(200, { metadata: { resourceVersion: String(this.#version) }, items: [...found.values()] });
    const one = found.get(name);
    if (one === undefined) return say(404, { message: `${name} not found` });
    if (request.method === 'GET') return say(200, one);
    if (this.meddling-- > 0) one.metadata.resourceVersion = this.#next();
    const { metadata, spec = {} } = JSON.parse(Buffer.concat(chunks).toString()) as Stored;
    if (metadata.resourceVersion !== one.metadata.resourceVersion) return say(409, { message: 'the object has been modified' });
    for (const [key, value] of Object.entries(metadata.annotations))
      if (value === null) delete one.metadata.annotations[key];
      else one.metadata.annotations[key] = value;
    if (one.spec !== undefined) Object.assign(one.spec, spec);
    one.metadata.resourceVersion = this.#next();
    if (resource === 'deployments') this.tell('MODIFIED', one);
    say(200, one);
  }
}
