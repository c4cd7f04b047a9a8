/** The kit as a node: it listens, runs the linker's command, and takes its links. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { FEATURES, Flag, Frame, PROTOCOL_VERSION, ResetCode } from '../../src/link/frames.ts';
import { type Hello, parseHello } from '../../src/link/hello.ts';
import { newNonce, prove, type provenSecret } from '../../src/link/proof.ts';
import { frameBytes, type SeenFrame, u32 } from '../support/harness/link-wire.ts';
import { type Response, readResponse, request } from './http.ts';
import { Broken, type RuleId } from './rules.ts';
import { SeenStream, WAIT_MS, Wire } from './wire.ts';

export interface LinkerSettings {
  readonly host: string;
  readonly port: number;
  readonly route: string;
  readonly secret: string;
  /** Empty: a second node, which a linker dials when it hears of it. */
  readonly command: readonly string[];
}

/** So that GOAWAY with TOO_LATE is about it. */
const START_ID = 'conformance';
/** For a process that begins on a busy machine. */
const START_MS = 25_000;
const DIALS_MAX = 10;

/** How this node departs from what is usual. */
export interface Manners {
  readonly version?: number;
  readonly challenge?: object;
  readonly welcome?: (proof: string) => string;
  /** Frames are cut into bytes. */
  readonly trickles?: boolean;
  readonly node?: string;
}

/** One linker process, and the links that it makes. */
export class LinkerUnderTest {
  readonly settings: LinkerSettings;
  readonly links: NodeSide[] = [];
  exited = false;
  readonly #isAgent: boolean;
  readonly #sockets: Socket[] = [];
  #server: Server | null = null;
  #child: ChildProcess | null = null;
  #output = '';

  /** `isAgent`: it starts instances, and is none itself. */
  constructor(settings: LinkerSettings, isAgent = false) {
    this.settings = settings;
    this.#isAgent = isAgent;
  }

  async start(): Promise<void> {
    const { host, port, command, route, secret } = this.settings;
    const server = createServer((socket) => this.#sockets.push(socket)).listen(port, host);
    await once(server, 'listening');
    this.#server = server;
    const [program, ...args] = command;
    if (program === undefined) return;
    const env = {
      ...process.env,
      PULLPROXY_PROXY: this.address,
      PULLPROXY_ROUTE: route,
      PULLPROXY_SECRET: secret,
      ...(this.#isAgent ? {} : { PULLPROXY_START_ID: START_ID }),
    };
    const child = spawn(program, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (bytes: Buffer) => {
        this.#output = (this.#output + bytes.toString()).slice(-2_000);
      });
    }
    child.on('error', (error) => {
      this.#output += String(error);
      this.exited = true;
    });
    child.on('exit', () => {
      this.exited = true;
    });
    this.#child = child;
  }

  get address(): string {
    if (this.#server === null) throw new Error('it does not listen');
    const { port } = this.#server.address() as AddressInfo;
    return `${this.settings.host}:${port}`;
  }

  /** What it wrote last, for people. */
  get output(): string {
    return this.#output;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  stop(): void {
    for (const link of this.links) link.close();
    for (const socket of this.#sockets.splice(0)) socket.destroy();
    this.#server?.close();
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It and all that it started have ended.
    }
  }

  /** The next connection. @throws Broken when the linker makes none. */
  async accept(rule: RuleId, ms = this.links.length === 0 ? START_MS : WAIT_MS): Promise<NodeSide> {
    const by = performance.now() + ms;
    for (;;) {
      const socket = this.#sockets.shift();
      if (socket !== undefined) {
        const side = new NodeSide(socket, this);
        this.links.push(side);
        return side;
      }
      if (this.exited) throw new Broken(rule, 'the command has ended, and there is no link');
      if (performance.now() > by) throw new Broken(rule, `the linker does not dial within ${ms} ms`);
      await sleep(2);
    }
  }

  /** A link that is up, and to which all slots are lent if `lent`. */
  async link(rule: RuleId = 'hello', manners: Manners = {}, lent = true): Promise<NodeSide> {
    const side = await this.#shaken(rule, manners);
    // One that reads frames wrongly may do so only after WELCOME.
    const about = manners.trickles === true ? rule : 'lend-again';
    if (lent) await side.until(about, 'all slots are lent', () => side.lent === side.hello.concurrency, START_MS);
    return side;
  }

  /** On a busy machine a linker may give up its dial, and dials again. */
  async #shaken(rule: RuleId, manners: Manners): Promise<NodeSide> {
    for (let dials = 1; ; dials++) {
      const side = await this.accept(rule);
      try {
        await side.shake(manners, rule);
        return side;
      } catch (error) {
        if (!side.closed || dials === DIALS_MAX) throw error;
      }
    }
  }

  /** Slots that are lent over all links that are up. */
  get lent(): number {
    return this.links.reduce((sum, link) => sum + (link.closed ? 0 : link.lent), 0);
  }
}

/** The node's end of one link. */
export class NodeSide extends Wire {
  hello!: Hello;
  nonce = '';
  at: string | null = null;
  lent = 0;
  inUse = 0;
  /** Idle slots go back where the linker asks for them. */
  #owed = 0;
  #leaves = false;
  #lastId = 0;
  readonly #linker: LinkerUnderTest;

  constructor(socket: Socket, linker: LinkerUnderTest) {
    super(socket);
    this.#linker = linker;
    this.listen = (frame) => this.#listen(frame);
  }

  get idle(): number {
    return this.lent - this.inUse;
  }

  get route(): string {
    return this.#linker.settings.route;
  }

  async shake(manners: Manners = {}, rule: RuleId = 'proof'): Promise<void> {
    const { proof, expected } = await this.challenge(manners, rule);
    const { secret } = this.#linker.settings;
    if (proof !== prove(secret, 'linker', expected)) throw new Broken('proof', 'the proof does not show the secret');
    await this.welcome(manners.welcome?.(prove(secret, 'node', expected)) ?? prove(secret, 'node', expected), manners.trickles);
  }

  async welcome(proof: string, trickles = false): Promise<void> {
    this.isLinked = true;
    const bytes = frameBytes(Frame.WELCOME, Buffer.from(JSON.stringify({ proof })));
    if (trickles) await this.trickle(bytes);
    else this.socket.write(bytes);
  }

  /** Takes HELLO and answers it; resolves with the linker's proof, and what it is over. */
  async challenge(
    manners: Manners = {},
    rule: RuleId = 'proof',
  ): Promise<{ proof: unknown; expected: Parameters<typeof provenSecret>[3] }> {
    const hello = await this.takeHello();
    const said = {
      v: manners.version ?? PROTOCOL_VERSION,
      can: FEATURES,
      node: manners.node ?? 'kit',
      nonce: newNonce(),
      ...manners.challenge,
    };
    const challenge = Buffer.from(JSON.stringify(said));
    if (manners.trickles === true) await this.trickle(frameBytes(Frame.CHALLENGE, challenge));
    else this.send(Frame.CHALLENGE, challenge);
    const { payload } = await this.take(rule, Frame.PROOF, 'PROOF follows CHALLENGE');
    return { proof: jsonOf('proof', payload).proof, expected: { hello, challenge, channel: Buffer.alloc(0) } };
  }

  async takeHello(): Promise<Buffer> {
    await this.until('hello', 'the linker speaks first', () => this.frames.length > 0);
    const [frame] = this.frames.splice(0, 1) as [SeenFrame];
    if (frame.type !== Frame.HELLO || frame.streamId !== 0) throw new Broken('hello', `the first frame has type ${frame.type}`);
    try {
      const { hello, most, least, at } = parseHello(frame.payload);
      if (least > PROTOCOL_VERSION || most < PROTOCOL_VERSION) throw new Error(`versions ${least} to ${most}`);
      this.hello = hello;
      this.at = at;
    } catch (error) {
      throw new Broken('hello', (error as Error).message);
    }
    this.nonce = String(jsonOf('hello', frame.payload).nonce);
    return frame.payload;
  }

  // ── slots ──

  #listen({ type, payload, streamId }: SeenFrame): void {
    if (type === Frame.GRANT) this.#granted(payload);
    else if (type === Frame.RECALL) this.#recalled(payload.readUInt32BE(0));
    else if (type === Frame.RESET) this.#over(streamId);
  }

  #granted(payload: Buffer): void {
    const count = payload.length === 4 ? payload.readUInt32BE(0) : 0;
    if (count === 0) this.breach('grant-limit', 'a GRANT of nothing');
    this.lent += count;
    const sum = this.#linker.lent;
    if (sum > this.hello.concurrency) this.breach('grant-limit', `${sum} slots are lent, the concurrency is ${this.hello.concurrency}`);
  }

  #recalled(count: number): void {
    const now = Math.min(count, this.idle);
    this.giveBack(now);
    this.#leaves = true;
    this.#owed = Math.min(this.#owed + count - now, this.inUse);
  }

  giveBack(count: number): void {
    if (count === 0) return;
    this.lent -= count;
    this.send(Frame.RETURN, u32(count));
  }

  #over(id: number): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    this.streams.delete(id);
    this.#idleAgain();
  }

  #idleAgain(): void {
    this.inUse--;
    if (!this.#leaves || this.#owed === 0) return;
    this.#owed--;
    this.giveBack(1);
  }

  // ── streams ──

  open(bytes: Buffer, flags = 0): SeenStream {
    const id = ++this.#lastId;
    const stream = new SeenStream(id);
    stream.sent = bytes.length;
    this.streams.set(id, stream);
    this.inUse++;
    this.send(Frame.OPEN, bytes, id, flags);
    return stream;
  }

  get(path: string): SeenStream {
    return this.open(request(this.route, path));
  }

  async response(rule: RuleId, stream: SeenStream, ms = WAIT_MS): Promise<Response> {
    let whole: Response | null = null;
    let looked = -1;
    await this.until(
      rule,
      `the response on stream ${stream.id}`,
      () => {
        if (stream.reset !== null)
          throw new Broken(rule, `stream ${stream.id} was reset with code ${stream.reset.code}, and has no response`);
        if (looked === stream.bytes) return false;
        looked = stream.bytes;
        whole = readResponse(stream.content);
        return whole !== null;
      },
      ms,
    );
    return whole as unknown as Response;
  }

  /** The slot is idle at once. */
  done(stream: SeenStream): void {
    if (!this.streams.delete(stream.id)) return;
    this.send(Frame.DONE, u32(stream.bytes % 2 ** 32), stream.id, Flag.KEEP);
    this.#idleAgain();
  }

  /** Gives it up, and waits for the linker's RESET. */
  async cancel(rule: RuleId, stream: SeenStream): Promise<void> {
    this.send(Frame.RESET, u32(ResetCode.CANCEL), stream.id);
    await this.until(rule, `RESET answers RESET on stream ${stream.id}`, () => stream.reset !== null);
  }

  /** A whole exchange. */
  async ask(rule: RuleId, path: string): Promise<string> {
    await this.until(rule, 'a slot is idle', () => this.idle > 0);
    const stream = this.get(path);
    const { status, body } = await this.response(rule, stream);
    if (status !== 200) throw new Broken(rule, `GET ${path} was answered with ${status}`);
    this.done(stream);
    return body.toString();
  }

  async serves(rule: RuleId): Promise<void> {
    const body = await this.ask(rule, '/hello');
    if (body !== 'hello') throw new Broken(rule, `GET /hello was answered with ${JSON.stringify(body.slice(0, 80))}`);
  }
}

export function jsonOf(rule: RuleId, payload: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(payload.toString());
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // said below
  }
  throw new Broken(rule, 'a payload that is no JSON object');
}
