/** A client of HTTP/2 that speaks in frames, and remembers what it was told of each stream. */
import { eventually } from './eventually.ts';
import { connectFrames } from './http2-client.ts';
import { frameBytes, Type } from './http2-frames.ts';
import type { RawSocket } from './raw-socket.ts';

const END_STREAM = 1;
const END_HEADERS = 4;
/** The first block of a connection may begin with it (RFC 7541 section 6.3). */
const TABLE_SIZE_0 = 0x20;
/** By its index in HPACK's static table (RFC 7541 appendix A). */
const STATUSES: Readonly<Record<number, number>> = { 136: 200, 137: 204, 138: 206, 139: 304, 140: 400, 141: 404, 142: 500 };

export interface Told {
  /** The status of its response; 0: one that the static table does not have. */
  status: number | null;
  bytes: number;
  complete: boolean;
  /** Error code of a RST_STREAM. */
  reset: number | null;
  /** By WINDOW_UPDATE. */
  credit: number;
  /** HEADERS or DATA came after its RST_STREAM. */
  afterReset: boolean;
}

export class FrameTalk {
  readonly client: RawSocket;
  /** Error code of a GOAWAY. */
  goAway: number | null = null;
  pongs = 0;
  readonly #told = new Map<number, Told>();

  private constructor(client: RawSocket) {
    this.client = client;
    void this.#listen().catch(() => {});
  }

  static async connect(port: number): Promise<FrameTalk> {
    return new FrameTalk(await connectFrames(port));
  }

  /** The frames of this stream that it has seen. */
  of(stream: number): Told {
    const told = this.#told.get(stream) ?? { status: null, bytes: 0, complete: false, reset: null, credit: 0, afterReset: false };
    this.#told.set(stream, told);
    return told;
  }

  /** Resolves when its answer is complete, or it was reset. */
  async end(stream: number): Promise<Told> {
    const isOver = (): boolean => this.of(stream).complete || this.of(stream).reset !== null;
    await eventually(`the end of stream ${stream}`, () => isOver() || this.goAway !== null);
    return this.of(stream);
  }

  headers(stream: number, block: Buffer, flags = END_STREAM): void {
    this.client.send(frameBytes(Type.HEADERS, END_HEADERS | flags, stream, block));
  }

  data(stream: number, content: Buffer | string, flags = 0): void {
    this.client.send(frameBytes(Type.DATA, flags, stream, Buffer.from(content)));
  }

  reset(stream: number): void {
    this.client.send(frameBytes(Type.RST_STREAM, 0, stream, Buffer.from([0, 0, 0, 8])));
  }

  async #listen(): Promise<void> {
    for (;;) {
      const head = await this.client.take(9);
      const payload = await this.client.take(head.readUIntBE(0, 3));
      const [type, flags, stream] = [head[3], head[4] as number, head.readUInt32BE(5)];
      const told = this.of(stream);
      if (type === Type.HEADERS || type === Type.DATA) told.afterReset ||= told.reset !== null;
      if (type === Type.HEADERS) told.status ??= STATUSES[payload[payload[0] === TABLE_SIZE_0 ? 1 : 0] as number] ?? 0;
      if (type === Type.DATA) told.bytes += payload.length;
      if (type === Type.RST_STREAM) told.reset ??= payload.readUInt32BE(0);
      if (type === Type.WINDOW_UPDATE) told.credit += payload.readUInt32BE(0);
      if (type === Type.GOAWAY) this.goAway = payload.readUInt32BE(4);
      if (type === Type.PING) this.pongs++;
      const ends = (type === Type.HEADERS || type === Type.DATA) && (flags & END_STREAM) !== 0;
      told.complete ||= ends;
    }
  }
}
