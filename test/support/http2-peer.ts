/** One end of an HTTP/2 connection that a test plays frame by frame, as a client or as an application. */
import { Flag, type Frame, frameBytes, Type, uint32 } from './http2-frames.ts';
import { connectClient } from './raw-client.ts';
import type { RawSocket } from './raw-socket.ts';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const FRAME_PAYLOAD_MAX = 16_384;
const EMPTY = Buffer.alloc(0);

export class FramePeer {
  readonly raw: RawSocket;
  /** All that came, in order. */
  readonly frames: Frame[] = [];

  constructor(raw: RawSocket) {
    this.raw = raw;
  }

  /** A client that has said the preface; on a connection of its own, or on one that is there (TLS). */
  static async client(at: number | RawSocket, first: Buffer = EMPTY): Promise<FramePeer> {
    const peer = new FramePeer(typeof at === 'number' ? await connectClient(at) : at);
    peer.raw.send(Buffer.concat([Buffer.from(PREFACE), frameBytes(Type.SETTINGS, 0, 0, first)]));
    return peer;
  }

  /** The application's side of a connection that was accepted: it has said its SETTINGS and has read the preface. */
  static async application(raw: RawSocket, first: Buffer = EMPTY): Promise<FramePeer> {
    const peer = new FramePeer(raw);
    raw.send(frameBytes(Type.SETTINGS, 0, 0, first));
    await raw.take(PREFACE.length);
    return peer;
  }

  send(type: number, flags: number, stream: number, payload: Buffer = EMPTY): void {
    this.raw.send(frameBytes(type, flags, stream, payload));
  }

  headers(stream: number, fields: Buffer, ends = false): void {
    const pieces: Buffer[] = [];
    for (let at = 0; at === 0 || at < fields.length; at += FRAME_PAYLOAD_MAX) pieces.push(fields.subarray(at, at + FRAME_PAYLOAD_MAX));
    const bytes = pieces.map((piece, i) => {
      const last = i === pieces.length - 1 ? Flag.END_HEADERS : 0;
      return i === 0
        ? frameBytes(Type.HEADERS, last | (ends ? Flag.END_STREAM : 0), stream, piece)
        : frameBytes(Type.CONTINUATION, last, stream, piece);
    });
    this.raw.send(Buffer.concat(bytes));
  }

  data(stream: number, payload: string | Buffer, ends = false): void {
    this.send(Type.DATA, ends ? Flag.END_STREAM : 0, stream, typeof payload === 'string' ? Buffer.from(payload) : payload);
  }

  reset(stream: number, code: number): void {
    this.send(Type.RST_STREAM, 0, stream, uint32(code));
  }

  goAway(code: number, lastStream = 0): void {
    this.send(Type.GOAWAY, 0, 0, Buffer.concat([uint32(lastStream), uint32(code)]));
  }

  /** Lets the other side send more on the connection and on `streams`. */
  open(bytes: number, ...streams: readonly number[]): void {
    for (const stream of [0, ...streams]) this.send(Type.WINDOW_UPDATE, 0, stream, uint32(bytes));
  }

  /** The next frame. PINGs and SETTINGS are acknowledged. */
  async next(): Promise<Frame> {
    const head = await this.raw.take(9);
    const payload = await this.raw.take(head.readUIntBE(0, 3));
    const frame = { type: head[3] as number, flags: head[4] as number, stream: head.readUInt32BE(5) & 0x7fffffff, payload };
    this.frames.push(frame);
    const { type, flags } = frame;
    if ((type === Type.SETTINGS || type === Type.PING) && (flags & Flag.ACK) === 0) {
      this.send(type, Flag.ACK, 0, type === Type.PING ? payload : EMPTY);
    }
    return frame;
  }

  /** The next frame of this kind, and on this stream if one is given. */
  async until(type: number, stream?: number): Promise<Frame> {
    for (;;) {
      const frame = await this.next();
      if (frame.type === type && (stream === undefined || frame.stream === stream)) return frame;
    }
  }

  /** How a stream ends: `end` by END_STREAM, or the code of its reset. */
  async endOf(stream: number): Promise<'end' | number> {
    for (;;) {
      const frame = await this.next();
      if (frame.stream !== stream) continue;
      if (frame.type === Type.RST_STREAM) return frame.payload.readUInt32BE(0);
      if ((frame.type === Type.DATA || frame.type === Type.HEADERS) && (frame.flags & Flag.END_STREAM) !== 0) return 'end';
    }
  }

  /** Reads until a PING of ours comes back: everything that was sent before it has been judged, and no connection error came of it. */
  async judged(): Promise<void> {
    this.send(Type.PING, 0, 0, Buffer.from('judged!!'));
    for (;;) {
      const frame = await this.next();
      if (frame.type === Type.GOAWAY) throw new Error(`GOAWAY ${frame.payload.readUInt32BE(4)}`);
      if (frame.type === Type.PING && frame.flags === Flag.ACK && frame.payload.toString() === 'judged!!') return;
    }
  }

  /** Sends DATA for as long as the windows of the connection and the stream let it. Returns how many bytes that were. */
  async fill(stream: number): Promise<number> {
    let sent = 0;
    for (;;) {
      await this.judged();
      const room = Math.min(this.#windowOf(0), this.#windowOf(stream)) - sent;
      if (room <= 0) return sent;
      for (let left = room; left > 0; left -= FRAME_PAYLOAD_MAX) this.data(stream, Buffer.alloc(Math.min(left, FRAME_PAYLOAD_MAX)));
      sent += room;
    }
  }

  /** All that the other side has ever given, by its WINDOW_UPDATEs and its SETTINGS. */
  #windowOf(stream: number): number {
    let bytes = 65_535;
    for (const { type, flags, stream: id, payload } of this.frames) {
      if (type === Type.WINDOW_UPDATE && id === stream) bytes += payload.readUInt32BE(0);
      if (type !== Type.SETTINGS || flags !== 0 || stream === 0) continue;
      for (let at = 0; at < payload.length; at += 6) if (payload.readUInt16BE(at) === 4) bytes += payload.readUInt32BE(at + 2) - 65_535;
    }
    return bytes;
  }

  /** The bytes of bodies that have come on the stream so far. */
  contentOf(stream: number): Buffer {
    return Buffer.concat(this.frames.filter((frame) => frame.type === Type.DATA && frame.stream === stream).map(({ payload }) => payload));
  }

  /** Whether END_STREAM came on the stream. */
  hasEnded(stream: number): boolean {
    return this.frames.some(
      ({ type, flags, stream: id }) => id === stream && (type === Type.DATA || type === Type.HEADERS) && (flags & Flag.END_STREAM) !== 0,
    );
  }
}
