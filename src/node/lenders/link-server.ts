import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, Server as TlsServer } from 'node:tls';
import { bind } from '../../bind.ts';
import { attempt, type FailureDomain, guard } from '../../boundary.ts';
import { formatHostPort } from '../../config/host-port.ts';
import { AgentAtNode, type AgentAtNodeEvents } from '../../link/agent-links.ts';
import { LINK_TLS_OPTIONS, type NodeTls } from '../../link/connect.ts';
import { acceptLink, type Hello } from '../../link/handshake.ts';
import type { Link, LinkTiming } from '../../link/link.ts';
import { NodeLink } from '../../link/node-link.ts';
import type { NodeLinkEvents } from '../../link/node-link-events.ts';
import type { Log } from '../../log.ts';
import { BoundedMap } from '../../memory/bounded-map.ts';
import { memoryOf, reuseReads } from '../../memory/socket-handle.ts';
import { Birth } from '../matching/cold-start.ts';
import type { Lender } from '../matching/lent-slots.ts';
import { Trust } from '../matching/trust.ts';

/** PEM contents. */
export interface BackendTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Authorities of which linkers must have a certificate; none: no certificate is asked for. */
  readonly ca?: Buffer;
  /** Every node's certificate has this name. */
  readonly name?: string;
}

export interface LinkServerOptions {
  readonly nodeId: string;
  /** The oldest version of the link protocol that a linker may speak; without it the newest. */
  readonly versionMin?: number;
  readonly secrets: (route: string) => readonly string[];
  /** Links with one secret; LINKS_PER_SECRET_MAX by default. */
  readonly linksPerSecretMax?: number;
  readonly timing?: LinkTiming;
  readonly tls?: BackendTls;
  readonly log: Log;
}

/** The events of agents. */
export interface AgentEvents {
  /** Why an agent of the route is refused; null: it is not. */
  refusal(route: string): string | null;
  linked(route: string, id: string, link: AgentAtNode): void;
  /** Hears what is said on the agent's link. */
  heard(route: string, id: string): Omit<AgentAtNodeEvents, 'down'>;
  gone(route: string, id: string, link: AgentAtNode): void;
}

/** The other end of a link: an instance, or an agent. */
interface Linked {
  readonly instance: string;
  readonly link: Pick<NodeLink, 'link' | 'goAway' | 'dismiss'>;
}

/** The events of lenders. */
export interface LenderEvents {
  /** Why the linker is refused; null: it is not. */
  linked(route: string, lender: Lender, secret: string): string | null;
  /** Hears what is said on the lender's link. The lender is there as soon as something is. */
  heard(route: string, lender: () => Lender): Omit<NodeLinkEvents, 'down'>;
  gone(route: string, lender: Lender): void;
  /** Its first requests have failed. */
  suspect?(route: string, lender: Lender): void;
  /** Absent: agents are refused. */
  readonly agents?: AgentEvents;
}

/** Connections that have not proved the secret yet. Beyond it the oldest has to go: a linker proves itself at once, who only occupies places does not. */
const UNPROVED_MAX = 1_024;
const LINKS_PER_SECRET_MAX = 10_000;
const BACKLOG = 4_096;
const TLS_HANDSHAKE_TIMEOUT_MS = 5_000;

/** The backend port: linkers dial in, prove themselves and lend slots. */
export class LinkServer {
  readonly #options: LinkServerOptions;
  readonly #servers: Server[] = [];
  /** Those that other processes listen at, too. */
  readonly #shared: Server[] = [];
  /** With the secret that each has proved, and for what. */
  readonly #linked = new Map<Linked, { readonly route: string; readonly secret: string }>();
  /** Secret → links of linkers that have proved it. */
  readonly #linksOf = new Map<string, number>();
  /** By the peer's address and port: a TLS connection counts from its first packet. */
  readonly #unproved = new BoundedMap<string, Socket>(UNPROVED_MAX, (oldest) => void oldest.destroy());
  #events: LenderEvents | null = null;
  #address = '';

  constructor(options: LinkServerOptions) {
    this.#options = options;
  }

  /** May be called for several ports; `shared` with other processes. Returns the bound HOST:PORT. */
  async listen(host: string, port: number, shared = false): Promise<string> {
    const { tls, log } = this.#options;
    const server = tls === undefined ? createServer({ noDelay: true }) : this.#tlsServer(tls);
    server.on('connection', (socket: Socket) => bounded(socket, () => this.#admit(socket)));
    server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => bounded(socket, () => this.#accept(socket)));
    const bound = await bind(server, { host, port, backlog: BACKLOG, reusePort: shared });
    if (tls === undefined) reuseReads(server, 'own');
    // Out of file descriptors, for one: the next linker may find it better.
    const failed = guard('listener', (error: Error) => log.error({ err: error }, 'a linker could not be accepted'));
    server.on('error', failed);
    (shared ? this.#shared : this.#servers).push(server);
    return formatHostPort(bound);
  }

  /** From now on linkers are welcome; before, they are sent away and come again. `address`: HOST:PORT at which the directory says that this node is. */
  serve(events: LenderEvents, address: string): void {
    this.#events = events;
    this.#address = address;
  }

  get links(): number {
    return this.#linked.size;
  }

  /** Tells every linker that this node leaves and returns the idle slots; those in use follow as their streams end. */
  goAway(): void {
    // A linker that dials this port must find another worker.
    for (const server of this.#shared) server.close();
    for (const { link } of this.#linked.keys()) attempt(link.link, () => link.goAway());
  }

  /**
   * Secrets have changed, or the certificate, which counts from the next connection on. A linker that has proved a secret that is no longer valid
   * gets nothing more, and may come again with another.
   */
  renewed(tls?: BackendTls): void {
    if (tls !== undefined) {
      for (const server of [...this.#servers, ...this.#shared])
        if (server instanceof TlsServer) server.setSecureContext({ ...tls, ...LINK_TLS_OPTIONS });
    }
    for (const [{ instance, link }, { route, secret }] of this.#linked) {
      if (this.#options.secrets(route).includes(secret)) continue;
      this.#options.log.info({ route, instance }, 'a linker is sent away: its secret is no longer valid');
      link.dismiss();
    }
  }

  close(): void {
    for (const server of [...this.#servers, ...this.#shared]) server.close();
    for (const socket of this.#unproved.values()) socket.destroy();
    for (const { link } of this.#linked.keys()) attempt('link', () => link.link.close('the node is leaving'));
  }

  #tlsServer({ cert, key, ca }: BackendTls): Server {
    const mutual = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true };
    const server = createTlsServer({
      cert,
      key,
      ...mutual,
      ...LINK_TLS_OPTIONS,
      handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS,
      noDelay: true,
    });
    const broken = guard('listener', (error: Error, socket: TLSSocket) => {
      this.#options.log.warn({ peer: socket.remoteAddress, reason: error.message }, 'linker refused');
      socket.destroy();
    });
    server.on('tlsClientError', broken);
    return server;
  }

  /** Counts a connection until it is proved or closed. */
  #admit(socket: Socket): void {
    if (this.#events === null) {
      socket.destroy();
      return;
    }
    const peer = peerOf(socket);
    this.#unproved.set(peer, socket);
    const closed = guard('listener', () => {
      if (this.#unproved.get(peer) === socket) this.#unproved.delete(peer);
    });
    socket.once('close', closed);
  }

  #accept(socket: Socket): void {
    const events = this.#events;
    if (events === null || socket.destroyed) return;
    const peer = peerOf(socket);
    acceptLink(socket, {
      node: this.#options.nodeId,
      address: () => this.#address,
      versionMin: this.#options.versionMin,
      secrets: this.#options.secrets,
      timing: this.#options.timing,
      memory: memoryOf(socket),
      ready: (link, hello, secret) => {
        this.#unproved.delete(peer);
        if (hello.agent !== true) this.#begin(link, hello, secret, peer, events);
        else if (events.agents === undefined) link.refuse('this node takes no agents');
        else this.#beginAgent(link, hello, secret, peer, events.agents);
      },
      failed: (reason) => this.#options.log.warn({ peer, reason }, 'linker refused'),
    });
  }

  /** Why the node takes no more links of the secret; null: it does. */
  #isFull(secret: string): string | null {
    const { linksPerSecretMax = LINKS_PER_SECRET_MAX } = this.#options;
    return (this.#linksOf.get(secret) ?? 0) >= linksPerSecretMax ? `this node has ${linksPerSecretMax} links of this secret already` : null;
  }

  #refuse(link: Link, facts: { readonly route: string; readonly instance: string; readonly peer: string }, reason: string): void {
    this.#options.log.warn({ ...facts, reason }, 'the node has no room for a linker');
    link.refuse(reason);
  }

  #count(secret: string, change: 1 | -1): void {
    const links = (this.#linksOf.get(secret) ?? 0) + change;
    if (links === 0) this.#linksOf.delete(secret);
    else this.#linksOf.set(secret, links);
  }

  #beginAgent(link: Link, { route, instance }: Hello, secret: string, peer: string, events: AgentEvents): void {
    const { log } = this.#options;
    let isTaken = false;
    const agent = new AgentAtNode(link, {
      ...events.heard(route, instance),
      down: (reason) => {
        if (!isTaken) return;
        log.info({ route, agent: instance, peer, reason }, 'agent gone');
        this.#linked.delete(linked);
        this.#count(secret, -1);
        events.gone(route, instance, agent);
      },
    });
    const linked: Linked = { instance, link: agent };
    const reason = this.#isFull(secret) ?? events.refusal(route);
    if (reason !== null) {
      this.#refuse(link, { route, instance, peer }, reason);
      return;
    }
    isTaken = true;
    this.#linked.set(linked, { route, secret });
    this.#count(secret, 1);
    log.info({ route, agent: instance, peer }, 'agent linked');
    events.linked(route, instance, agent);
  }

  #begin(link: Link, hello: Hello, secret: string, peer: string, events: LenderEvents): void {
    const { route, instance, readyMs } = hello;
    const readyAt = readyMs === undefined ? undefined : performance.now() - readyMs;
    const lender: Lender = {
      instance,
      // A linker of 0.1 has nothing but its own clock.
      seq: hello.takesOrder === true ? (hello.order ?? 0) : hello.seq,
      unnumbered: hello.takesOrder === true && hello.order === undefined,
      concurrency: hello.concurrency,
      concurrencyMax: hello.concurrencyMax ?? hello.concurrency,
      startId: hello.startId,
      version: hello.version,
      relayed: hello.relay === true,
      // A relaying node has its own trust in the instance, and knows when it began.
      ...(hello.relay === true ? {} : { trust: new Trust(() => events.suspect?.(route, lender)), birth: new Birth(readyAt) }),
      ...(readyAt === undefined ? {} : { readyAt }),
      link: new NodeLink(link, hello, {
        ...events.heard(route, () => lender),
        down: (reason) => {
          this.#options.log.info({ route, instance, peer, reason }, 'linker gone');
          if (!this.#linked.delete(lender)) return;
          this.#count(secret, -1);
          events.gone(route, lender);
        },
      }),
    };
    const reason = this.#isFull(secret) ?? events.linked(route, lender, secret);
    if (reason !== null) {
      this.#refuse(link, { route, instance, peer }, reason);
      return;
    }
    this.#linked.set(lender, { route, secret });
    this.#count(secret, 1);
    this.#options.log.info({ route, instance, peer, concurrency: hello.concurrency, relayed: lender.relayed }, 'linker linked');
  }
}

/**
 * How nodes dial each other's backend ports: they trust the same authority, or each other's certificate where all have the same. A linker's
 * certificate, which --backend-tls-ca may name one by one, is not a node's.
 */
export function nodeTls({ cert, key, ca, name }: BackendTls): NodeTls {
  return { cert, key, ca: ca ?? cert, pinned: cert, ...(name === undefined ? {} : { name }) };
}

/** An error while a linker is accepted closes its connection. */
function bounded(socket: Socket, accept: () => void): void {
  const domain: FailureDomain = { where: 'listener', fail: () => void socket.destroy() };
  attempt(domain, accept);
}

function peerOf(socket: Socket): string {
  return `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
}
