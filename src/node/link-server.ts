import { createServer, type Server, type Socket } from 'node:net';
import type { Log } from '../log.ts';
import { acceptLink, type Hello } from '../link/handshake.ts';
import type { Link, LinkTiming } from '../link/link.ts';
import { type InstanceReport, NodeLink } from '../link/node-link.ts';
import type { Lender } from './slots.ts';

export interface LinkServerOptions {
  readonly nodeId: string;
  readonly secrets: (route: string) => readonly string[];
  readonly timing?: LinkTiming;
  readonly log: Log;
}

/** What happens to lenders; the node decides what it means. */
export interface LenderEvents {
  /** False refuses the linker: too many routes. */
  linked(route: string, lender: Lender): boolean;
  idle(route: string, lender: Lender): void;
  moveFailed(route: string, lender: Lender, count: number, address: string): void;
  report(route: string, lender: Lender, report: InstanceReport): void;
  retire(route: string, lender: Lender): void;
  startAnother(route: string): void;
  /** The linker wants `count` slots back that are not idle here. */
  recalled(lender: Lender, count: number): void;
  gone(route: string, lender: Lender): void;
}

/** Connections that have not proved the secret yet. */
const UNPROVED_MAX = 1_024;
const BACKLOG = 4_096;

/** The backend port: linkers dial in, prove themselves and lend slots. */
export class LinkServer {
  readonly #options: LinkServerOptions;
  readonly #events: LenderEvents;
  readonly #server: Server;
  readonly #lenders = new Map<Lender, string>();
  readonly #unproved = new Set<Socket>();
  #serving = false;

  constructor(options: LinkServerOptions, events: LenderEvents) {
    this.#options = options;
    this.#events = events;
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  /** Returns the bound HOST:PORT. */
  async listen(host: string, port: number): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog: BACKLOG }, resolve);
    });
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no address bound');
    return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
  }

  /** From now on linkers are welcome; before, they are sent away and come again. */
  serve(): void {
    this.#serving = true;
  }

  get links(): number {
    return this.#lenders.size;
  }

  /** Tells every linker that this node leaves and returns the idle slots; those in use follow as their streams end. */
  goAway(): void {
    for (const lender of this.#lenders.keys()) lender.link.goAway();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#unproved) socket.destroy();
    for (const lender of this.#lenders.keys()) lender.link.link.close('the node is leaving');
  }

  #accept(socket: Socket): void {
    if (!this.#serving || this.#unproved.size >= UNPROVED_MAX) {
      socket.destroy();
      return;
    }
    this.#unproved.add(socket);
    const peer = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    acceptLink(socket, {
      node: this.#options.nodeId,
      secrets: this.#options.secrets,
      timing: this.#options.timing,
      ready: (link, hello) => {
        this.#unproved.delete(socket);
        this.#begin(link, hello, peer);
      },
      failed: (reason) => {
        this.#unproved.delete(socket);
        this.#options.log.warn({ peer, reason }, 'linker refused');
      },
    });
  }

  #begin(link: Link, hello: Hello, peer: string): void {
    const { route, instance } = hello;
    const events = this.#events;
    const lender: Lender = {
      instance,
      seq: hello.seq,
      concurrency: hello.concurrency,
      startId: hello.startId,
      relayed: hello.relay === true,
      link: new NodeLink(link, hello.concurrency, {
        idle: () => events.idle(route, lender),
        moveFailed: (count, address) => events.moveFailed(route, lender, count, address),
        report: (report) => events.report(route, lender, report),
        retire: () => events.retire(route, lender),
        startAnother: () => events.startAnother(route),
        recalled: (count) => events.recalled(lender, count),
        down: (reason) => {
          this.#options.log.info({ route, instance, peer, reason }, 'linker gone');
          if (this.#lenders.delete(lender)) events.gone(route, lender);
        },
      }),
    };
    this.#lenders.set(lender, route);
    if (!events.linked(route, lender)) {
      link.close('this node knows too many routes');
      return;
    }
    this.#options.log.info({ route, instance, peer, concurrency: hello.concurrency, relayed: lender.relayed }, 'linker linked');
  }
}
