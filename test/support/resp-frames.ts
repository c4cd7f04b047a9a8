/** Cuts what Redis sends into replies and messages (RESP2 and RESP3, redis.io/docs/reference/protocol-spec). */
export class RespFrames {
  #rest: Buffer = Buffer.alloc(0);

  /** A frame has begun and is not complete. */
  get isInside(): boolean {
    return this.#rest.length > 0;
  }

  /** The frames that are complete now, each as it came. */
  push(chunk: Buffer): Buffer[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const frames: Buffer[] = [];
    for (let end = endOf(this.#rest, 0); end !== null; end = endOf(this.#rest, 0)) {
      frames.push(this.#rest.subarray(0, end));
      this.#rest = this.#rest.subarray(end);
    }
    return frames;
  }
}

/** Where the frame that begins at `at` ends; null when the end is not there yet. */
function endOf(bytes: Buffer, at: number): number | null {
  const line = bytes.indexOf('\r\n', at, 'latin1');
  if (line === -1) return null;
  const count = Number(bytes.toString('latin1', at + 1, line));
  switch (String.fromCharCode(bytes[at] ?? 0)) {
    case '$':
    case '=':
    case '!': {
      const end = count < 0 ? line + 2 : line + 2 + count + 2;
      return end <= bytes.length ? end : null;
    }
    case '*':
    case '~':
    case '>':
      return endOfSeveral(bytes, line + 2, count);
    case '%':
      return endOfSeveral(bytes, line + 2, count * 2);
    case '|':
      return endOfSeveral(bytes, line + 2, count * 2 + 1);
    default:
      return line + 2;
  }
}

function endOfSeveral(bytes: Buffer, from: number, count: number): number | null {
  let at: number | null = from;
  for (let i = 0; i < count && at !== null; i++) at = endOf(bytes, at);
  return at;
}
