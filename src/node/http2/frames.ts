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

/** Writes a frame's head. Its payload of `length` bytes follows. */
export function frameHead(out: Buffer, at: number, type: number, flags: number, stream: number, length: number): void {
  out[at] = length >> 16;
  out[at + 1] = length >> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  putWord(out, at + 5, stream);
}

function putWord(out: Buffer, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}

/** A number of 32 bits. */
export function wordAt(bytes: Buffer, at: number): number {
  let word = 0;
  for (let i = at; i < at + 4; i++) word = (word << 8) | (bytes[i] as number);
  return word >>> 0;
}

/** A frame that carries one number: RST_STREAM, WINDOW_UPDATE. */
export function wordFrame(type: number, stream: number, word: number): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + 4);
  frameHead(frame, 0, type, 0, stream, 4);
  putWord(frame, HEAD_BYTES, word);
  return frame;
}

export function goAwayFrame(lastStream: number, code: number): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + 8);
  frameHead(frame, 0, FrameType.GOAWAY, 0, 0, 8);
  putWord(frame, HEAD_BYTES, lastStream);
  putWord(frame, HEAD_BYTES + 4, code);
  return frame;
}
