/** The admin port: health, metrics, the API and the dashboard. */
import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { internalError } from '../boundary.ts';
import { formatHostPort, type HostPort } from '../config/host-port.ts';
import { ConfigError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { AdminSource } from './admin-source.ts';
import { addApi } from './api.ts';
import { RequestError } from './api-call.ts';
import { refusal } from './authorization.ts';
import { Connections } from './connections.ts';
import { CONTENT_SECURITY_POLICY, readDashboardFiles } from './dashboard-files.ts';
import { Feeds } from './feeds.ts';
import { Metrics } from './metrics.ts';
import { addOpenApi } from './openapi.ts';
import { SCHEMAS } from './schemas.ts';
import { StateReader } from './state-reader.ts';

const BODY_BYTES_MAX = 64 * 1024;
const HEAD_TIMEOUT_MS = 5_000;
/** A request with its body. */
const REQUEST_TIMEOUT_MS = 10_000;
/** How often late connections are closed. */
const TIMEOUT_CHECK_MS = 1_000;
const KEEP_ALIVE_MS = 5_000;
const HEAD_BYTES_MAX = 16 * 1024;
const HEADERS_MAX = 100;

/** For health checks, which come by any address, from other machines, without a token. */
const HEALTH_PATHS: readonly string[] = ['/healthz', '/readyz'];
const METRICS_PATH = '/metrics';
/** The same for everybody, without anything of the cluster. */
const DESCRIPTION_PATH = '/api/v1/openapi.json';

export interface AdminOptions {
  readonly listen: HostPort;
  /** The token that calls must have; without one everybody may read, and changing calls must come from this machine. */
  readonly token?: string | undefined;
  /** Metrics can be read without the token. */
  readonly metricsOpen?: boolean;
  readonly source: AdminSource;
  readonly log: Log;
  /** How often `/api/v1/events` checks for a change. */
  readonly eventsEveryMs?: number;
}

export class AdminServer {
  readonly #options: AdminOptions;
  #token: string | undefined;
  readonly #app: FastifyInstance;
  readonly #reader: StateReader;
  readonly #feeds: Feeds;
  readonly #files = readDashboardFiles();
  /** Health: from anywhere, by any name. */
  #open: ReadonlySet<string>;
  /** By our own names, without the token: responses that show nothing of the cluster, and the page that asks for the token. */
  readonly #tokenless: ReadonlySet<string>;

  constructor(options: AdminOptions) {
    this.#options = options;
    this.#reader = new StateReader(options.source);
    this.#token = options.token;
    this.#open = openPaths(options);
    this.#tokenless = new Set([DESCRIPTION_PATH, ...this.#files.map(({ path }) => path)]);
    this.#app = Fastify({
      logger: false,
      bodyLimit: BODY_BYTES_MAX,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      http: { headersTimeout: HEAD_TIMEOUT_MS, connectionsCheckingInterval: TIMEOUT_CHECK_MS, maxHeaderSize: HEAD_BYTES_MAX },
      forceCloseConnections: true,
      // A machine that is slow while it starts is no reason to end.
      pluginTimeout: 0,
      // A wrong type is an error and is not converted; unknown properties are refused, not dropped.
      ajv: { customOptions: { removeAdditional: false, coerceTypes: false } },
    });
    this.#app.server.maxHeadersCount = HEADERS_MAX;
    const connections = new Connections(this.#app.server);
    this.#feeds = new Feeds(this.#reader, (socket) => connections.listens(socket), options.eventsEveryMs);
    // A foreign page can send such a body without a preflight request.
    this.#app.removeContentTypeParser('text/plain');
    this.#app.addHook('onRequest', async (request, reply) => this.#admit(request, reply));
    this.#app.addHook('preValidation', async (request) => refuseUnwantedBody(request));
    this.#app.setErrorHandler<FastifyError>((error, request, reply) => this.#fail(error, request, reply));
    this.#app.setNotFoundHandler((_request, reply) => sendError(reply, 404, 'not_found', 'not found'));
  }

  /** Resolves with the bound HOST:PORT. */
  async start(): Promise<string> {
    const { host, port: wanted } = this.#options.listen;
    await this.#addRoutes();
    await this.#app.listen({ host, port: wanted });
    const { address, port } = this.#app.server.address() as AddressInfo;
    return formatHostPort({ host: address, port });
  }

  /** Another token, from the next request on. */
  renewed(access: Pick<AdminOptions, 'token' | 'metricsOpen'>): void {
    this.#token = access.token;
    this.#open = openPaths(access);
  }

  async stop(): Promise<void> {
    this.#feeds.close();
    await this.#app.close();
  }

  async #addRoutes(): Promise<void> {
    const { source } = this.#options;
    const app = this.#app;
    for (const schema of SCHEMAS) app.addSchema(schema);
    await addOpenApi(app, source.version);
    this.#addHealth();
    addApi(app, source, this.#reader, this.#feeds);
    for (const { path, contentType, content } of this.#files) {
      app.get(path, { schema: { hide: true } }, (_request, reply) => reply.type(contentType).send(content));
    }
  }

  #addHealth(): void {
    const { source } = this.#options;
    const app = this.#app;
    const metrics = new Metrics(() => source.metrics(), source.version);
    const asked = (operationId: string, summary: string, response: object) => ({
      schema: { tags: ['health'], operationId, summary, response },
    });
    app.get('/healthz', asked('healthz', 'The process is alive', { 200: { $ref: 'Health#' } }), () => ({ ok: true }));
    // A node without Redis still serves local traffic: removing it from the load balancer would remove what works. One that has
    // never reached it has nothing, and knows no route: its settings may be wrong.
    const ready = { 200: { $ref: 'Readiness#' }, 503: { $ref: 'Readiness#' } };
    app.get(
      '/readyz',
      asked('readyz', 'Takes clients in; 503 while it leaves, and until Redis has answered once', ready),
      (_request, reply) => {
        const { draining, joined, redisConnected: connected, redisRefusal: refusal } = source;
        return reply.code(draining || !joined ? 503 : 200).send({ draining, joined, redis: { connected, refusal } });
      },
    );
    const text = { 200: { type: 'string' } };
    app.get(METRICS_PATH, asked('metrics', 'Prometheus text', text), async (_request, reply) =>
      reply.type(metrics.contentType).send(await metrics.text()),
    );
  }

  #admit(request: FastifyRequest, reply: FastifyReply): void {
    reply.headers({
      'cache-control': 'no-store',
      'content-security-policy': CONTENT_SECURITY_POLICY,
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
    // The route that is really called, however the request wrote it.
    const path = request.routeOptions.url ?? '';
    if (this.#open.has(path)) return;
    const changes = request.method !== 'GET' && request.method !== 'HEAD';
    const asked = { changes, tokenless: this.#tokenless.has(path) && !changes };
    const facts = { ...asked, peer: request.socket.remoteAddress ?? '', headers: request.headers };
    const refused = refusal(facts, this.#token, this.#options.listen.host);
    if (refused !== null) throw new RequestError(refused.status, refused.code, refused.message);
  }

  #fail(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    if (error instanceof ConfigError) return sendError(reply, 400, 'invalid_settings', error.problems.join('; '));
    if (error instanceof RequestError) return sendError(reply, error.statusCode, error.code, error.message);
    if (error.name === 'DirectoryUnavailable') return sendError(reply, 503, 'redis_unavailable', error.message);
    const status = error.statusCode ?? 500;
    if (status < 500) return sendError(reply, status, 'bad_request', error.message);
    internalError('admin', error);
    this.#options.log.error({ method: request.method, url: request.url }, 'admin request failed');
    return sendError(reply, 500, 'internal', 'the request failed; the log says why');
  }
}

function openPaths({ token, metricsOpen = false }: Pick<AdminOptions, 'token' | 'metricsOpen'>): ReadonlySet<string> {
  return new Set([...HEALTH_PATHS, ...(token === undefined || metricsOpen ? [METRICS_PATH] : [])]);
}

/** A body at a call that takes none is refused, like an unknown parameter of the query. */
function refuseUnwantedBody({ body, routeOptions }: FastifyRequest): void {
  if (routeOptions.schema?.body !== undefined || body === undefined || JSON.stringify(body) === '{}') return;
  throw new RequestError(400, 'bad_request', 'this call takes no body');
}

function sendError(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  return reply.code(status).send({ error: { code, message } });
}
