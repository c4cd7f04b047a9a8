/** The kit as a linker, and as the clients of the node. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Flag, Frame, ResetCode } from '../../src/link/frames.ts';
import { newNonce, prove } from '../../src/link/proof.ts';
import { EMPTY, frameBytes, type SeenFrame, u32 } from '../support/harness/link-wire.ts';
import { type Response, readResponse, request, response } from './http.ts';
import { jsonOf } from './node-side.ts';
import { Broken, type RuleId } from './rules.ts';
import { SeenStream, WAIT_MS, Wire } from './wire.ts';

interface Address {
  readonly host: string;
  readonly port: number;
}

export interface NodeSettings {
  readonly backend: Address;
  readonly clients: Address;
  readonly route: string;
  readonly secret: string;
}

export const CONCURRENCY = 4;
let instances = 0;

/** Frames that belong to features, none of which the kit names. */
const OF_FEATURES: ReadonlySet<number> = new Set([Frame.QUIET, Frame.PARK, Frame.UNPARK, Frame.SAID, Frame.COST]);

/** A node, and what the kit has opened at it. */
export class NodeUnderTest {
  readonly settings: NodeSettings;
  readonly links: LinkerSide[] = [];
  readonly #clients: Client[] = [];

  constructor(settings: NodeSettings) {
    this.settings = settings;
  }

  async connect(): Promise<LinkerSide> {
    const side = new LinkerSide(await connected(this.settings.backend), this.settings);
    this.links.push(side);
    return side;
  }

  /** A link that is up, with so many slots lent to the node. */
  async link(slots = CONCURRENCY, rule: RuleId = 'challenge', hello: object = {}): Promise<LinkerSide> {
    const side = await this.connect();
    await side.shake(rule, hello);
    side.sendJson(Frame.STATE, { home: true, state: 'ready', active: 0 });
    if (slots > 0) side.grant(slots);
    return side;
  }

  /** The link of an agent that is up, and has so much room. */
  async agent(room: number, rule: RuleId): Promise<LinkerSide> {
    const side = await this.connect();
    await side.shake(rule, { agent: true, can: ['agent'], concurrency: 1 });
    side.sendJson(Frame.STATE, { room, running: 0 });
    return side;
  }

  async client(bytes?: Buffer): Promise<Client> {
    const client = new Client(await connected(this.settings.clients));
    this.#clients.push(client);
    client.socket.write(bytes ?? request(this.settings.route, '/'));
    return client;
  }

  stop(): void {
    for (const client of this.#clients) client.socket.destroy();
    for (const link of this.links) link.close();
  }
}

async function connected({ host, port }: Address): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  await once(socket, 'connect').catch((error: Error) => {
    throw new Broken('serve', `nobody listens at ${host}:${port}: ${error.message}`);
  });
  return socket;
}

export class Client {
  readonly socket: Socket;
  readonly #chunks: Buffer[] = [];
  isOver = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#chunks.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isOver = true;
    });
  }

  /** All that it got. */
  get text(): string {
    return Buffer.concat(this.#chunks).toString('latin1');
  }

  get response(): Response | null {
    return readResponse(Buffer.concat(this.#chunks));
  }

  /** @throws Broken unless it gets this response. */
  async gets(rule: RuleId, side: Wire, body: Buffer | string): Promise<void> {
    let bytes = -1;
    const look = (): boolean => {
      if (bytes === this.socket.bytesRead) return this.isOver;
      bytes = this.socket.bytesRead;
      return this.response !== null || this.isOver;
    };
    await side.until(rule, 'the client has its response', look);
    const { response: got } = this;
    if (got?.status !== 200 || !got.body.equals(Buffer.from(body))) {
      throw new Broken(rule, `the client got ${got?.status ?? 'no response'}: ${got?.body.toString().slice(0, 80)}`);
    }
  }
}

/** The linker's end of one link. */
export class LinkerSide extends Wire {
  lent = 0;
  inUse = 0;
  /** Streams that the node has opened and the kit has not looked at, in their order. */
  readonly opened: SeenStream[] = [];
  node = '';
  readonly #settings: NodeSettings;

  constructor(socket: Socket, settings: NodeSettings) {
    super(socket);
    this.#settings = settings;
    this.listen = (frame) => this.#listen(frame);
  }

  hello(over: object = {}): Buffer {
    const id = `conformance${process.pid}x${++instances}`;
    const { route } = this.#settings;
    const said = {
      v: 2,
      max: 2,
      can: [],
      route,
      instance: id,
      seq: Date.now(),
      takesOrder: true,
      concurrency: CONCURRENCY,
      nonce: newNonce(),
    };
    return Buffer.from(JSON.stringify({ ...said, ...over }));
  }

  async challenge(rule: RuleId, hello: Buffer, trickles = false): Promise<Buffer> {
    const bytes = frameBytes(Frame.HELLO, hello);
    if (trickles) await this.trickle(bytes);
    else this.socket.write(bytes);
    const { payload } = await this.take(rule, Frame.CHALLENGE, 'CHALLENGE follows HELLO');
    const { v, node, nonce } = jsonOf('challenge', payload);
    if (v !== 2 || typeof node !== 'string' || typeof nonce !== 'string' || nonce.length < 16) {
      throw new Broken('challenge', `a CHALLENGE without version 2, node or nonce: ${payload}`);
    }
    this.node = node;
    return payload;
  }

  async shake(rule: RuleId, over: object = {}, trickles = false): Promise<void> {
    const hello = this.hello(over);
    const challenge = await this.challenge(rule, hello, trickles);
    const transcript = { hello, challenge, channel: EMPTY };
    const { secret } = this.#settings;
    this.sendJson(Frame.PROOF, { proof: prove(secret, 'linker', transcript) });
    const welcome = await this.take(rule, Frame.WELCOME, 'WELCOME follows PROOF');
    if (jsonOf('proof', welcome.payload).proof !== prove(secret, 'node', transcript)) {
      throw new Broken('proof', 'the proof in WELCOME does not show the secret');
    }
    this.isLinked = true;
  }

  grant(count: number): void {
    this.lent += count;
    this.send(Frame.GRANT, u32(count));
  }

  // ── what the node says ──

  #listen({ type, flags, streamId, payload }: SeenFrame): void {
    if (OF_FEATURES.has(type)) this.breach('features', `frame type ${type}, of a feature that the linker has not named`);
    else if (type === Frame.OPEN) this.#open(streamId, payload);
    else if (type === Frame.DONE) this.#done(streamId, (flags & Flag.KEEP) !== 0, payload);
    else if (type === Frame.RESET) this.#reset(streamId);
    else if (type === Frame.RETURN) this.#returned(payload.readUInt32BE(0));
    else if (type === Frame.MOVE) this.#returned(payload.readUInt32BE(0));
  }

  #open(id: number, payload: Buffer): void {
    if (id === 0 || this.streams.has(id)) this.breach('open-twice', `OPEN of stream ${id}, which is in use`);
    if (this.inUse >= this.lent) this.breach('open-limit', `OPEN without an idle slot: ${this.lent} are lent, all are in use`);
    const stream = new SeenStream(id);
    stream.chunks.push(payload);
    stream.bytes = payload.length;
    this.streams.set(id, stream);
    this.opened.push(stream);
    this.inUse++;
  }

  #done(id: number, keeps: boolean, payload: Buffer): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    if (!keeps) {
      this.free(stream, ResetCode.CLOSED);
      return;
    }
    const taken = payload.length === 4 ? payload.readUInt32BE(0) : -1;
    if (taken !== stream.sent % 2 ** 32) this.breach('done-keep', `DONE says that ${taken} bytes were taken, ${stream.sent} were sent`);
    this.streams.delete(id);
    this.inUse--;
  }

  #reset(id: number): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    stream.reset = { code: 0, flags: 0 };
    this.free(stream, ResetCode.CLOSED);
  }

  #returned(count: number): void {
    if (count < 1 || count > this.lent - this.inUse)
      this.breach('recall', `${count} slots returned, ${this.lent - this.inUse} are idle there`);
    this.lent -= count;
  }

  /** The slot is idle at the node. */
  free(stream: SeenStream, code: number): void {
    if (!this.streams.delete(stream.id)) return;
    this.inUse--;
    this.send(Frame.RESET, u32(code), stream.id);
  }

  /** The next stream that the node opens. */
  async next(rule: RuleId): Promise<SeenStream> {
    await this.until(rule, 'the node opens a stream', () => this.opened.length > 0);
    return this.opened.shift() as SeenStream;
  }

  /** The next start that an agent is given. */
  async start(rule: RuleId): Promise<Record<string, unknown>> {
    const { payload } = await this.take(rule, Frame.START, 'a START comes');
    return jsonOf(rule, payload);
  }

  answerStart({ startId, route }: Record<string, unknown>, how: string): void {
    this.sendJson(Frame.START, { startId, route, how });
  }

  async answer(rule: RuleId, stream: SeenStream, body: Buffer | string = 'served', headers = ''): Promise<void> {
    await this.sendAll(rule, stream, response(body, headers));
  }

  /** A client is served with a stream of its own. */
  async serves(rule: RuleId, node: NodeUnderTest): Promise<void> {
    const client = await node.client();
    await this.answer(rule, await this.next(rule));
    await client.gets(rule, this, 'served');
  }

  async allIdle(rule: RuleId): Promise<void> {
    await this.until(rule, 'all slots are idle', () => this.inUse === 0, WAIT_MS);
  }
}
