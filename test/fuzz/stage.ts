/** A whole path in this process: a node, a real linker for each application, and what must be true of them once nothing is under way. */
import assert from 'node:assert';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { Linker } from '../../src/linker/linker.ts';
import { createLog } from '../../src/log.ts';
import { parserCounts } from '../../src/node/http1/head/llhttp.ts';
import type { ProxyNode } from '../../src/node/node.ts';
import { type LoneNodeOptions, startLoneNode } from '../support/harness/lone-node.ts';

const CONCURRENCY = 4;
/** In turns, not in time: on a busy machine both pass slowly. */
const QUICK_TURNS = 30;
const PATIENT_TURNS = 2_000;
const PATIENT_TURN_MS = 2;

export interface StageOptions {
  /** Ports of applications by their routes. */
  readonly apps: Readonly<Record<string, number>>;
  readonly node?: LoneNodeOptions;
}

/** Asks until it is true; how long that takes depends on this process' turns only. @throws AssertionError with what is said last. */
export async function until(what: () => string | null): Promise<void> {
  for (let i = 0; i < QUICK_TURNS; i++) {
    if (what() === null) return;
    await turn();
  }
  for (let i = 0; i < PATIENT_TURNS; i++) {
    if (what() === null) return;
    await pause(PATIENT_TURN_MS);
  }
  assert.fail(what() ?? 'it took too long');
}

export class Stage {
  readonly node: ProxyNode;
  readonly port: number;
  readonly backendPort: number;
  readonly #linkers: Linker[] = [];
  readonly #runs: Promise<number>[] = [];
  /** The node's ends of its clients' connections. */
  readonly #clients = new Set<Socket>();
  readonly #accepted = (message: unknown): void => this.#note((message as { socket: Socket }).socket);
  readonly #routes: readonly string[];

  private constructor(node: ProxyNode, port: number, backendPort: number, routes: readonly string[]) {
    this.node = node;
    this.port = port;
    this.backendPort = backendPort;
    this.#routes = routes;
    subscribe('net.server.socket', this.#accepted);
  }

  static async open({ apps, node: options = {} }: StageOptions): Promise<Stage> {
    const { node, port, backendPort } = await startLoneNode({ headTimeoutMs: 2_000, ...options });
    const stage = new Stage(node, port, backendPort, Object.keys(apps));
    for (const [route, appPort] of Object.entries(apps)) await stage.#link(route, appPort);
    await until(() => stage.#slotsMissing());
    return stage;
  }

  async close(): Promise<void> {
    unsubscribe('net.server.socket', this.#accepted);
    for (const linker of this.#linkers) {
      linker.drain();
      linker.drain();
    }
    await this.node.stop();
    await Promise.all(this.#runs);
  }

  connect(): Socket {
    const socket = connect({ port: this.port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    socket.on('error', () => {});
    return socket;
  }

  /** Nothing is kept: no client, no place in a queue, no slot, no parser. */
  async atRest(): Promise<void> {
    await until(() => this.#kept());
  }

  #kept(): string | null {
    if (this.#clients.size > 0) return `${this.#clients.size} connections of clients that have gone are kept`;
    if (this.node.held > 0) return `${this.node.held} clients that have gone are held`;
    if (this.node.active > 0) return `${this.node.active} streams go on without a client`;
    const { alive, pooled } = parserCounts();
    if (alive !== pooled) return `${alive - pooled} parsers are lost`;
    return this.#slotsMissing();
  }

  #slotsMissing(): string | null {
    for (const route of this.#routes) {
      const lenders = this.node.routes.get(route)?.slots.lenders ?? [];
      const idle = lenders.reduce((sum, { link }) => sum + link.idle, 0);
      if (idle !== CONCURRENCY) return `${idle} of ${CONCURRENCY} slots of ${route} are idle`;
    }
    return null;
  }

  async #link(route: string, appPort: number): Promise<void> {
    const linker = new Linker({
      proxies: [{ host: '127.0.0.1', port: this.backendPort }],
      route,
      concurrency: CONCURRENCY,
      secret: 's',
      env: {},
      app: { host: '127.0.0.1', port: appPort },
      log: createLog('fuzz', 'silent'),
      abortTimeoutMs: 10,
      discardTimeoutMs: 10,
    });
    this.#linkers.push(linker);
    this.#runs.push(linker.run());
    await linker.ready;
  }

  #note(socket: Socket): void {
    if (socket.localPort !== this.port) return;
    this.#clients.add(socket);
    socket.once('close', () => this.#clients.delete(socket));
  }
}
