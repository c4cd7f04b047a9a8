/** Types and flags of frames (RFC 9113 section 6, RFC 9218 section 7.1). */
export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;
export const FrameFlag = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;

export const HEAD_BYTES = 9;
const WORD_BYTES = 4;

/** Sees the frames of one direction. */
export interface FrameReader {
  /** One begins; `word`: a DATA frame's bytes that are none of its content, a WINDOW_UPDATE's increment, a PRIORITY's parent. False: it does not pass. */
  frame(type: number, flags: number, stream: number, length: number, word: number): boolean;
  /** More of its payload; what is changed there passes so. */
  payload(type: number, bytes: Buffer, from: number, to: number): void;
  /** All of it is there. */
  ended(type: number): void;
}

/** Cuts a direction's bytes into frames, however they come, and passes on those that may pass, without copying them. */
export class FrameWalk {
  readonly #reader: FrameReader;
  /** Bytes that are no frame: the client's preface. */
  #preface: number;
  /** The beginning of a frame, and what of its payload has to be known before it passes. */
  readonly #head = Buffer.alloc(HEAD_BYTES + WORD_BYTES);
  #headBytes = 0;
  #headWanted = HEAD_BYTES;
  /** Of the head that is being read: how many of its bytes are in the present piece. */
  #headHere = 0;
  readonly #inserted: Buffer[] = [];
  #type = 0;
  #left = 0;
  #passes = true;
  #out: Buffer[] = [];
  /** Where in the present bytes begins what passes; -1: nothing of it so far. */
  #from = -1;

  constructor(reader: FrameReader, prefaceBytes: number) {
    this.#reader = reader;
    this.#preface = prefaceBytes;
  }

  /** No frame is in the middle: others may be put here. */
  get between(): boolean {
    return this.#headBytes === 0 && this.#left === 0;
  }

  /** Returns what passes. */
  take(bytes: Buffer): Buffer[] {
    this.#out = [];
    this.#from = -1;
    let at = 0;
    if (this.#preface > 0) {
      at = Math.min(this.#preface, bytes.length);
      this.#preface -= at;
      this.#from = 0;
    }
    while (at < bytes.length) at = this.#left > 0 ? this.#payload(bytes, at) : this.#begin(bytes, at);
    // A head that is not whole waits for its rest.
    this.#flush(bytes, bytes.length - this.#pendingIn(bytes.length));
    return this.#out;
  }

  /** Puts a frame before the one that begins now. To be called by the reader's `frame`. */
  insert(frame: Buffer): void {
    this.#inserted.push(frame);
  }

  #pendingIn(length: number): number {
    return this.#headBytes === 0 ? 0 : Math.min(length, this.#headHere);
  }

  #begin(bytes: Buffer, from: number): number {
    if (this.#headBytes === 0) {
      this.#headWanted = HEAD_BYTES;
      this.#headHere = 0;
    } else if (from === 0) this.#headHere = 0;
    let at = from;
    while (at < bytes.length && this.#headBytes < this.#headWanted) {
      this.#head[this.#headBytes++] = bytes[at++] as number;
      this.#headHere++;
      if (this.#headBytes === HEAD_BYTES) this.#headWanted += this.#wordBytes();
    }
    if (this.#headBytes === this.#headWanted) this.#haveHead(bytes, at);
    return at;
  }

  #wordBytes(): number {
    const [type, flags, length] = [this.#head[3], this.#head[4] as number, this.#length()];
    if (type === FrameType.WINDOW_UPDATE || type === FrameType.PRIORITY) return length >= WORD_BYTES ? WORD_BYTES : 0;
    return type === FrameType.DATA && (flags & FrameFlag.PADDED) !== 0 && length > 0 ? 1 : 0;
  }

  #length(): number {
    return this.#head.readUIntBE(0, 3);
  }

  #stream(): number {
    return this.#head.readUInt32BE(5) & 0x7fffffff;
  }

  #haveHead(bytes: Buffer, at: number): void {
    const type = this.#head[3] as number;
    const length = this.#length();
    const wordBytes = this.#headBytes - HEAD_BYTES;
    const word = wordBytes === 0 ? 0 : wordBytes === 1 ? (this.#head[HEAD_BYTES] as number) + 1 : this.#head.readUInt32BE(HEAD_BYTES);
    const start = at - this.#headHere;
    this.#type = type;
    this.#passes = this.#reader.frame(type, this.#head[4] as number, this.#stream(), length, word);
    if (this.#inserted.length > 0 || !this.#passes) this.#flush(bytes, start);
    if (this.#inserted.length > 0) this.#out.push(...this.#inserted.splice(0));
    if (this.#passes && this.#from === -1) {
      // A part of it came before, and was kept back.
      if (this.#headHere < this.#headBytes) this.#out.push(Buffer.from(this.#head.subarray(0, this.#headBytes - this.#headHere)));
      this.#from = start;
    }
    this.#left = length - wordBytes;
    this.#headBytes = 0;
    this.#headHere = 0;
    if (this.#left === 0) this.#reader.ended(type);
  }

  #payload(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    if (this.#passes && this.#from === -1) this.#from = at;
    this.#reader.payload(this.#type, bytes, at, end);
    this.#left -= end - at;
    if (this.#left === 0) this.#reader.ended(this.#type);
    return end;
  }

  #flush(bytes: Buffer, to: number): void {
    if (this.#from !== -1 && to > this.#from)
      this.#out.push(this.#from === 0 && to === bytes.length ? bytes : bytes.subarray(this.#from, to));
    this.#from = -1;
  }
}

/** Writes a frame's head. Its payload of `length` bytes follows. */
export function frameHead(out: Buffer, at: number, type: number, flags: number, stream: number, length: number): void {
  out[at] = length >> 16;
  out[at + 1] = length >> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  out.writeUInt32BE(stream, at + 5);
}

/** A frame that carries one number: RST_STREAM, WINDOW_UPDATE. */
export function wordFrame(type: number, stream: number, word: number): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + 4);
  frame.writeUIntBE(4, 0, 3);
  frame[3] = type;
  frame[4] = 0;
  frame.writeUInt32BE(stream, 5);
  frame.writeUInt32BE(word, HEAD_BYTES);
  return frame;
}

export function goAwayFrame(lastStream: number, code: number): Buffer {
  const frame = Buffer.concat([wordFrame(FrameType.GOAWAY, 0, lastStream), Buffer.alloc(4)]);
  frame.writeUIntBE(8, 0, 3);
  frame.writeUInt32BE(code, HEAD_BYTES + 4);
  return frame;
}
