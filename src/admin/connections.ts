/**
 * The connections of the admin port. Their number is limited, and a silent connection cannot keep others out: everybody who reaches the port may
 * connect, and a health check without a place would remove the node from its load balancer.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { guard } from '../boundary.ts';

export const CONNECTIONS_MAX = 256;
/** A response that is not read: after this time its connection gives way to a new one; RESPONSE_MS_MAX closes it in any case. */
const SLOW_MS = 5_000;
const RESPONSE_MS_MAX = 30_000;

interface Connection {
  /** Since when: performance.now(). */
  since: number;
  /** `silent`: no complete request yet; `asking`: one request is being answered; `listening`: its response has no end. */
  state: 'silent' | 'asking' | 'listening';
}

export class Connections {
  /** In the order in which they entered their state. */
  readonly #open = new Map<Socket, Connection>();

  constructor(server: Server) {
    server.on(
      'connection',
      guard('admin', (socket: Socket) => this.#accept(socket)),
    );
    server.prependListener(
      'request',
      guard('admin', (request: IncomingMessage, response: ServerResponse) => this.#ask(request, response)),
    );
  }

  get size(): number {
    return this.#open.size;
  }

  /** The response of this connection has no end. The caller limits their number. */
  listens(socket: Socket): void {
    this.#become(socket, 'listening');
  }

  #accept(socket: Socket): void {
    if (this.#open.size >= CONNECTIONS_MAX && !this.#makeRoom()) {
      socket.destroy();
      return;
    }
    this.#become(socket, 'silent');
    const closed = guard('admin', () => void this.#open.delete(socket));
    socket.once('close', closed);
  }

  #ask({ socket }: IncomingMessage, response: ServerResponse): void {
    // Pipelined requests: each would pile up a response.
    if (this.#open.get(socket)?.state !== 'silent') {
      socket.destroy();
      return;
    }
    this.#become(socket, 'asking');
    const late = guard('admin', () => {
      if (this.#open.get(socket)?.state === 'asking') socket.destroy();
    });
    const overdue = setTimeout(late, RESPONSE_MS_MAX).unref();
    const closed = guard('admin', () => {
      clearTimeout(overdue);
      if (this.#open.has(socket)) this.#become(socket, 'silent');
    });
    response.once('close', closed);
  }

  /** The oldest silent connection goes, or else the oldest that does not read its response. */
  #makeRoom(): boolean {
    const slowSince = performance.now() - SLOW_MS;
    const [silent] = [...this.#open].find(([, { state }]) => state === 'silent') ?? [];
    const [leaver = silent] = silent
      ? [silent]
      : ([...this.#open].find(([, { state, since }]) => state === 'asking' && since < slowSince) ?? []);
    if (leaver === undefined) return false;
    this.#open.delete(leaver);
    leaver.destroy();
    return true;
  }

  #become(socket: Socket, state: Connection['state']): void {
    this.#open.delete(socket);
    if (!socket.destroyed) this.#open.set(socket, { state, since: performance.now() });
  }
}
