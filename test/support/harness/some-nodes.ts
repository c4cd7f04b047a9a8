/** Nodes, linkers and an application in this process, over real sockets. */

import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { expect } from '@jest/globals';
import pino from 'pino';
import type { MemoryDirectory } from '../../../src/cluster/memory/directory.ts';
import { createMemoryCluster } from '../../../src/cluster/memory/open.ts';
import { parseRouteSettings, type RouteRecord } from '../../../src/config/route-settings.ts';
import { ResetCode } from '../../../src/link/frames.ts';
import { dialLink, type Hello } from '../../../src/link/handshake.ts';
import { LinkerLink } from '../../../src/link/linker-link.ts';
import type { Stream } from '../../../src/link/stream.ts';
import { Linker } from '../../../src/linker/linker.ts';
import type { LinkerOptions } from '../../../src/linker/linker-options.ts';
import type { Ownership } from '../../../src/memory/reused-reads.ts';
import { ProxyNode } from '../../../src/node/node.ts';
import type { NodeOptions } from '../../../src/node/node-options.ts';
import { eventually } from '../eventually.ts';
import { nodeOptions } from './lone-node.ts';

export const SECRET = 's';
export const ROUTE = 'app.example.com';

const closers: (() => unknown)[] = [];

/** For `afterEach`. */
export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

export interface SomeNode {
  readonly node: ProxyNode;
  readonly url: string;
  readonly port: number;
  readonly backendPort: number;
  /** The lines that it has logged. */
  readonly lines: Record<string, unknown>[];
}

export interface SomeNodeOptions extends Partial<Omit<NodeOptions, 'listen' | 'backend'>> {
  /** Shared with other nodes; without it the node is alone. */
  readonly directory?: MemoryDirectory;
  /** At which others are told to reach it, if not where it listens. */
  readonly advertise?: string;
  /** Ports for clients; one that is free unless said otherwise. */
  readonly ports?: readonly number[];
  readonly routes?: Readonly<Record<string, RouteRecord>>;
}

export async function startSomeNode({ directory, advertise, ports = [0], routes = {}, ...over }: SomeNodeOptions = {}): Promise<SomeNode> {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  const id = over.id ?? 'n1';
  const node = await ProxyNode.start(
    nodeOptions({
      listen: ports.map((port) => ({ protocol: 'http', host: '127.0.0.1', port, route: null, proxyProtocol: null })),
      cluster: (bound) => createMemoryCluster({ self: { id, address: advertise ?? bound }, version: '0', log, directory }).cluster,
      secrets: () => [SECRET],
      connectionsMax: 20_000,
      log,
      ...over,
    }),
  );
  closers.push(() => node.stop());
  const { listen, backend } = node.bound;
  if (Object.keys(routes).length > 0)
    node.clusterEvents.onRoutes(new Map(Object.entries(routes).map(([name, record]) => [name, parseRouteSettings(record)])));
  const url = listen[0] as string;
  return { node, url, port: Number(new URL(url).port), backendPort: Number(backend.split(':').at(-1)), lines };
}

/** A node that linkers can not dial: only nodes get through its door. So its clients get their slots by relays. */
export interface NodeBehindDoor extends SomeNode {
  readonly door: Door;
}

export async function startNodeBehindDoor(options: Omit<SomeNodeOptions, 'advertise'>): Promise<NodeBehindDoor> {
  const door = await Door.open();
  const node = await startSomeNode({ ...options, advertise: door.address });
  door.port = node.backendPort;
  return { ...node, door };
}

export interface SomeLinker {
  readonly linker: Linker;
  readonly exit: Promise<number>;
}

/** A real linker in front of `app`, linked to the node, ready, and known to the directory. */
export async function startSomeLinker(
  { node, backendPort }: Pick<SomeNode, 'node' | 'backendPort'>,
  app: { readonly port: number },
  over: Partial<LinkerOptions> = {},
): Promise<SomeLinker> {
  const linker = new Linker({
    proxies: [{ host: '127.0.0.1', port: backendPort }],
    route: ROUTE,
    concurrency: 2,
    secret: SECRET,
    app: { host: '127.0.0.1', port: app.port },
    env: {},
    log: pino({ level: 'silent' }),
    ...over,
  });
  const exit = linker.run();
  closers.push(async () => {
    linker.drain();
    linker.drain();
    await exit;
  });
  await linker.ready;
  await eventually('the directory knows it', async () => {
    const { routes } = await node.cluster.snapshot();
    return routes.some(({ instances }) => instances.some(({ id, state }) => id === linker.instance && state === 'ready'));
  });
  return { linker, exit };
}

export interface RawLinker {
  readonly link: LinkerLink;
  /** The node's words. */
  readonly said: string[];
  readonly opened: Stream[];
  /** The paths that were asked for, in the order in which the streams came. */
  readonly paths: string[];
  returned: number;
}

/** A linker that does nothing by itself: no slot is lent, no stream is served. */
export async function dialRawLinker(backendPort: number, over: Partial<Hello> = {}, secret = SECRET, ca?: Buffer): Promise<RawLinker> {
  const to = { port: backendPort, host: '127.0.0.1' };
  const socket = ca === undefined ? connect(to) : connectTls({ ...to, ca });
  closers.push(() => socket.destroy());
  await once(socket, ca === undefined ? 'connect' : 'secureConnect');
  return new Promise((resolve, reject) => {
    dialLink(socket, {
      hello: { route: ROUTE, instance: 'raw1', seq: 1, concurrency: 10, ...over },
      secret,
      failed: (reason) => reject(new Error(reason)),
      ready: (link) => {
        const said: string[] = [];
        const opened: Stream[] = [];
        const paths: string[] = [];
        const raw: RawLinker = {
          said,
          opened,
          paths,
          returned: 0,
          link: new LinkerLink(link, {
            opened: (stream) => {
              opened.push(stream);
              const onData = (chunk: Buffer): Ownership => {
                const request = /^\w+ (\S+) HTTP/.exec(chunk.toString('latin1'));
                if (request !== null) paths.push(request[1] as string);
                return 'borrowed';
              };
              stream.handler = {
                where: 'visit',
                fail: () => {},
                onData,
                onEnd: () => {},
                onDrain: () => {},
                onReset: (code) => raw.link.free(stream, code, true, false),
              };
            },
            done: (stream, how) => how !== 'close' || raw.link.free(stream, ResetCode.CLOSED, true, false),
            returned: (count) => {
              raw.returned += count;
            },
            moveWanted: (count, address) => said.push(`move ${count} to ${address}`),
            newest: (yes) => said.push(`newest ${yes}`),
            retireAnswer: (yes) => said.push(`retire ${yes}`),
            goAway: () => said.push('go away'),
            down: (reason) => said.push(`down: ${reason}`),
          }),
        };
        resolve(raw);
      },
    });
  });
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** An application that counts: connections at once, requests, and those whose client went away. */
export class CountingApp {
  readonly #server: Server;
  readonly #handlers = new Map<string, Handler>();
  connections = 0;
  most = 0;
  requests = 0;
  aborted = 0;

  private constructor() {
    this.#server = createHttpServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      this.requests++;
      response.once('close', () => {
        if (!response.writableFinished) this.aborted++;
      });
      const path = (request.url ?? '/').split('?')[0] as string;
      const handler = this.#handlers.get(path);
      if (handler !== undefined) handler(request, response);
      else request.resume().once('end', () => response.end(`served ${path}`));
    });
    this.#server.on('connection', (socket: Socket) => {
      this.connections++;
      this.most = Math.max(this.most, this.connections);
      socket.once('close', () => this.connections--);
    });
  }

  static async listen(): Promise<CountingApp> {
    const app = new CountingApp();
    app.#server.listen(0, '127.0.0.1');
    await once(app.#server, 'listening');
    closers.push(() => {
      app.#server.close();
      app.#server.closeAllConnections();
    });
    return app;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  onUpgrade(take: (socket: Duplex) => void): this {
    this.#server.on('upgrade', (_request: IncomingMessage, socket: Duplex) =>
      take(
        socket
          .on('error', () => {})
          .on('end', () => socket.end())
          .resume(),
      ),
    );
    return this;
  }

  /** Without a handler a path is answered when its request has been read. */
  on(path: string, handler: Handler): this {
    this.#handlers.set(path, handler);
    return this;
  }
}

/** A way to a node's backend port that lets relaying nodes pass and closes on linkers, as a firewall between networks would. */
export class Door {
  readonly address: string;
  /** Where it leads to. */
  port = 0;
  passed = 0;
  readonly #sockets = new Set<Socket>();

  private constructor(address: string) {
    this.address = address;
  }

  static async open(): Promise<Door> {
    const server = createServer({ noDelay: true }, (near) => door.#passThrough(near)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const door = new Door(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    closers.push(() => {
      server.close();
      door.slam();
    });
    return door;
  }

  /** Breaks what has passed. */
  slam(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Lets nothing pass any more in either direction, and breaks nothing. */
  freeze(): void {
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  #passThrough(near: Socket): void {
    near.on('error', () => {});
    near.once('data', (hello: Buffer) => {
      if (!hello.includes('"relay":true')) return near.destroy();
      this.passed++;
      const far = connect({ port: this.port, host: '127.0.0.1', noDelay: true });
      far.on('error', () => {});
      far.once('close', () => near.destroy());
      near.once('close', () => far.destroy());
      this.#sockets.add(near).add(far);
      far.write(hello);
      near.pipe(far).pipe(near);
    });
  }
}

/** A port that accepts and never says a word. */
export async function deafPort(): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.on('error', () => {}))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** All slots of the instances that are linked here lie here idle, nothing is held, nothing runs, nothing is remembered. */
export async function expectQuiet({ node }: SomeNode, slots = 0): Promise<void> {
  const now = (): unknown => {
    const lenders = [...node.routes.all()].flatMap((route) => route.slots.lenders);
    const own = lenders.filter(({ relayed }) => !relayed);
    const idle = (all: typeof lenders): number => all.reduce((sum, { link }) => sum + link.idle, 0);
    return {
      held: node.held,
      heldBytes: [...node.routes.all()].reduce((sum, { held }) => sum + held.bytes, 0),
      active: node.active,
      idle: idle(own),
      relayedHere: idle(lenders.filter(({ relayed }) => relayed)),
    };
  };
  const quiet = { held: 0, heldBytes: 0, active: 0, idle: slots, relayedHere: 0 };
  await eventually('the node is quiet', () => JSON.stringify(now()) === JSON.stringify(quiet), 4_000).catch(() =>
    expect(now()).toEqual(quiet),
  );
}
