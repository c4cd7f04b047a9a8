/** A node that does what a test tells it, with the real end of the link: it accepts linkers, opens streams on their slots, and remembers what they say. */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { formatHostPort, type HostPort } from '../../../src/config/host-port.ts';
import { Flag, type ResetCodeValue } from '../../../src/link/frames.ts';
import { acceptLink, type Hello } from '../../../src/link/handshake.ts';
import type { InstanceReport } from '../../../src/link/instance-report.ts';
import type { Link, LinkTiming } from '../../../src/link/link.ts';
import { NodeLink } from '../../../src/link/node-link.ts';
import type { Stream, StreamHandler } from '../../../src/link/stream.ts';
import type { Ownership } from '../../../src/memory/reused-reads.ts';
import { eventually } from '../eventually.ts';

export const SECRET = 'the secret of this route';

const nodes = new Set<FakeNode>();

export interface FakeNodeOptions {
  readonly id?: string;
  /** At which the directory says that it is; without it where it listens. */
  readonly address?: string;
  readonly port?: number;
  readonly host?: string;
  readonly secrets?: readonly string[];
  readonly timing?: LinkTiming;
  readonly tls?: TlsOptions;
  /** Called when slots became idle. */
  readonly idle?: (instance: FakeInstance) => void;
}

/** For `afterEach`. */
export function closeFakeNodes(): void {
  for (const node of nodes) node.close();
  nodes.clear();
}

export class FakeNode {
  readonly id: string;
  /** Every link that was ever up, the newest last. */
  readonly instances: FakeInstance[] = [];
  readonly refusals: string[] = [];
  accepted = 0;
  readonly #options: FakeNodeOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #frozen = false;

  private constructor(options: FakeNodeOptions) {
    this.id = options.id ?? 'n1';
    this.#options = options;
    const { tls } = options;
    const accept = (socket: Socket): void => this.#accept(socket);
    this.#server = tls === undefined ? createServer(accept) : createTlsServer(tls, accept);
    this.#server.on('tlsClientError', () => {});
  }

  static async start(options: FakeNodeOptions = {}): Promise<FakeNode> {
    const node = new FakeNode(options);
    nodes.add(node);
    await once(node.#server.listen(options.port ?? 0, options.host ?? '127.0.0.1'), 'listening');
    return node;
  }

  get address(): HostPort {
    const { address, port } = this.#server.address() as AddressInfo;
    return { host: address, port };
  }

  get said(): string {
    return formatHostPort(this.address);
  }

  /** Links that are up. */
  get living(): FakeInstance[] {
    return this.instances.filter(({ downReason }) => downReason === null);
  }

  /** The one link that is up, waited for. */
  async instance(): Promise<FakeInstance> {
    await eventually(`a link at ${this.id}`, () => this.living.length > 0);
    return this.living[0] as FakeInstance;
  }

  /** As kill -9: the listener and all links are gone. */
  close(): void {
    this.#server.close();
    // A socket that is ending already can't be reset: libuv refuses, and Node then never closes it.
    for (const socket of this.#sockets) {
      if (socket.writableEnded || this.#options.tls !== undefined) socket.destroy();
      else socket.resetAndDestroy();
    }
  }

  /** As SIGSTOP: connections stay open, nothing is read or answered. */
  freeze(): void {
    this.#frozen = true;
    for (const socket of this.#sockets) socket.pause();
  }

  #accept(socket: Socket): void {
    this.accepted++;
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    if (this.#frozen) {
      socket.pause();
      return;
    }
    acceptLink(socket, {
      node: this.id,
      address: () => this.#options.address ?? this.said,
      secrets: () => this.#options.secrets ?? [SECRET],
      timing: this.#options.timing,
      ready: (link, hello) => this.instances.push(new FakeInstance(link, hello, this.#options.idle ?? (() => {}))),
      failed: (reason) => this.refusals.push(reason),
    });
  }
}

/** A linker's instance as a node sees it. */
export class FakeInstance {
  readonly hello: Hello;
  readonly link: NodeLink;
  readonly reports: InstanceReport[] = [];
  /** Its requests, in order: `retire`, `start`, `moved back 1 from 127.0.0.1:1`. */
  readonly asked: string[] = [];
  /** How many slots it can have together, as the linker says when it can't have what it wanted. */
  readonly atMost: number[] = [];
  downReason: string | null = null;
  #visits = 0;

  constructor(link: Link, hello: Hello, idle: (instance: FakeInstance) => void) {
    this.hello = hello;
    this.link = new NodeLink(link, hello, {
      idle: () => idle(this),
      moveFailed: (count, address) => this.asked.push(`moved back ${count} from ${address} with ${this.link.idle} idle`),
      report: (report) => this.reports.push(report),
      retire: () => this.asked.push('retire'),
      startAnother: () => this.asked.push('start'),
      recalled: () => {},
      gathersAtMost: (count) => this.atMost.push(count),
      down: (reason) => {
        this.downReason = reason;
      },
    });
  }

  /** Slots that lie here idle, waited for. */
  async idle(count: number): Promise<void> {
    await eventually(`${count} idle slots; ${this.link.idle} are`, () => this.link.idle === count);
  }

  async down(): Promise<string> {
    await eventually('the link is down', () => this.downReason !== null);
    return this.downReason as string;
  }

  get lastReport(): InstanceReport | undefined {
    return this.reports.at(-1);
  }

  /** `client`: whose it is, as client-ends.ts writes it. */
  open(opening: string | Buffer = '', flags: number = Flag.NONE, client = '', quiet = false, cost = 1): FakeVisit {
    const visit = new FakeVisit(this, ++this.#visits);
    visit.stream = this.link.open(visit, flags, Buffer.from(opening), client, quiet, cost);
    return visit;
  }

  /** A request to its complete answer (with a Content-Length), and DONE with KEEP. */
  async get(path = '/', flags: number = Flag.NONE): Promise<FakeVisit> {
    const visit = this.open(`GET ${path} HTTP/1.1\r\nHost: app\r\n\r\n`, flags);
    await visit.answered();
    visit.keep();
    return visit;
  }
}

/** One stream, as a node sees it. What comes is consumed at once, unless `greedy` is false. */
export class FakeVisit implements StreamHandler {
  readonly where = 'visit';
  readonly number: number;
  stream!: Stream;
  text = '';
  bytes = 0;
  ended = false;
  drains = 0;
  greedy = true;
  waits = 0;
  tap: (chunk: Buffer) => void = () => {};
  reset: { readonly code: ResetCodeValue; readonly reached: boolean; readonly reused: boolean } | null = null;
  /** Resolves with the last byte of an answer; `answered` looks only now and then. */
  readonly complete: Promise<void>;
  readonly #instance: FakeInstance;
  #completed!: () => void;

  constructor(instance: FakeInstance, number: number) {
    this.complete = new Promise((resolve) => {
      this.#completed = resolve;
    });
    this.#instance = instance;
    this.number = number;
  }

  fail(): void {}

  onData(chunk: Buffer): Ownership {
    this.bytes += chunk.length;
    this.tap(chunk);
    if (this.text.length < 100_000) this.text += chunk.toString('latin1');
    if (this.greedy) this.stream.consumed(chunk.length);
    if (this.isAnswered) this.#completed();
    return 'kept';
  }

  onEnd(): void {
    this.ended = true;
  }

  onDrain(): void {
    this.drains++;
  }

  onWaits(): void {
    this.waits++;
  }

  onReset(code: ResetCodeValue, reached: boolean, reused: boolean): void {
    this.reset = { code, reached, reused };
  }

  get body(): string {
    return this.text.slice(this.text.indexOf('\r\n\r\n') + 4);
  }

  get isAnswered(): boolean {
    const length = /content-length: (\d+)/i.exec(this.text)?.[1];
    return this.text.includes('\r\n\r\n') && length !== undefined && this.body.length >= Number(length);
  }

  async answered(): Promise<void> {
    await eventually(`an answer to visit ${this.number}`, () => {
      if (this.reset !== null) throw new Error(`it was reset: ${JSON.stringify(this.reset)}`);
      return this.isAnswered;
    });
  }

  async received(text: string): Promise<void> {
    await eventually(`visit ${this.number} receives ${text}; it has ${this.text}`, () => this.text.includes(text));
  }

  async end(): Promise<void> {
    await eventually(`the end of visit ${this.number}`, () => this.ended);
  }

  async wasReset(): Promise<NonNullable<FakeVisit['reset']>> {
    await eventually(`visit ${this.number} is reset`, () => this.reset !== null);
    return this.reset as NonNullable<FakeVisit['reset']>;
  }

  keep(): void {
    this.#instance.link.doneAndKeep(this.stream);
  }

  close(): void {
    this.#instance.link.doneAndClose(this.stream);
  }

  cancel(code: ResetCodeValue): void {
    this.#instance.link.reset(this.stream, code);
  }
}
