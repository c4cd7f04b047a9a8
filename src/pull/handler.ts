/** The kinds of application: each becomes a Node server that listens nowhere and takes connections from the linker. */
import { createServer, type IncomingMessage, Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { createRequestListener } from '@remix-run/node-fetch-server';
import { ConfigError } from '../errors.ts';

/** A request listener of Node, as Express, Koa's `callback()` and others are one. */
export type NodeListener = (request: IncomingMessage, response: ServerResponse) => unknown;
/** The fetch API: Hono, and others. `request.signal` is aborted when the client has gone. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;
/** A function with two or more parameters is a request listener, with one a fetch handler. */
export type Handler = NodeListener | FetchHandler | Server | { readonly fetch: FetchHandler };

/** Nodes have limits of their own (`--head-bytes`), and an application sees no head that they refuse. */
const HEAD_BYTES_MAX = 1_048_576;

const EXPECTED =
  'a request listener (request, response), an http.Server, a fetch handler (request) => response, or an object with such a fetch method';

/** Takes connections for `handler`. A server that is given keeps its own limits and its upgrades. @throws ConfigError when it is none of these. */
export function takerOf(handler: Handler): (connection: Duplex) => void {
  const server = serverOf(handler);
  return (connection) => server.emit('connection', connection);
}

function serverOf(handler: unknown): Server {
  if (handler instanceof Server) return handler;
  const listener = listenerOf(handler);
  return createServer({ maxHeaderSize: HEAD_BYTES_MAX }, listener);
}

function listenerOf(handler: unknown): NodeListener {
  if (typeof handler === 'object' && handler !== null && 'fetch' in handler && typeof handler.fetch === 'function') {
    const { fetch } = handler;
    return fetchListener((request) => fetch.call(handler, request));
  }
  if (typeof handler === 'function' && handler.length >= 2) return handler as NodeListener;
  if (typeof handler === 'function' && handler.length === 1) return fetchListener(handler as FetchHandler);
  const given = typeof handler === 'function' ? 'a function without parameters' : typeof handler;
  throw new ConfigError([`handler: ${given}: expected ${EXPECTED}`]);
}

/** The URL of the request has the scheme that the client used. */
function fetchListener(handler: FetchHandler): NodeListener {
  const clear = createRequestListener(handler, { protocol: 'http:' });
  const encrypted = createRequestListener(handler, { protocol: 'https:' });
  return (request, response) => (request.headers['x-forwarded-proto'] === 'https' ? encrypted : clear)(request, response);
}
