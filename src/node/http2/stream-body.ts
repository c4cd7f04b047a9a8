import type { Framing, RequestBody } from '../http1/body.ts';
import { type Fields, passesInTrailers } from './fields.ts';

/** The body of a request that came by HTTP/2 and goes on as HTTP/1.1. Its frames were checked, and it is not checked again. */
export class StreamBody implements RequestBody {
  readonly #isChunked: boolean;
  /** Bytes of the body that are not written yet, where its length is known. */
  #left: number;
  /** The next piece is the last one. */
  #isEnding = false;
  #hasEnded = false;

  constructor(framing: Framing, length: number) {
    this.#isChunked = framing === 'chunked';
    this.#left = length;
  }

  get complete(): boolean {
    return this.#isChunked ? this.#hasEnded : this.#left === 0;
  }

  take(chunk: Buffer): number {
    if (!this.#isChunked) this.#left -= chunk.length;
    this.#hasEnded = this.#isEnding;
    return chunk.length;
  }

  passable(chunk: Buffer): Buffer {
    return chunk;
  }

  release(): void {}

  /** One piece of it, as HTTP/1.1 says it. */
  framed(piece: Buffer): Buffer {
    return this.#isChunked ? chunkOf(piece) : piece;
  }

  /** It is complete. Returns what ends it in HTTP/1.1; null: its length does. */
  end(trailers: Fields): Buffer | null {
    this.#isEnding = true;
    return this.#isChunked ? lastChunk(trailers) : null;
  }
}

/** One piece of a body, as a chunk. */
export function chunkOf(piece: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`, 'latin1'), piece, Buffer.from('\r\n')]);
}

/** The end of a chunked body; `trailers`: names and values, one after the other. What frames a message is none. */
export function lastChunk(trailers: readonly string[]): Buffer {
  let lines = '';
  for (let i = 0; i < trailers.length; i += 2) {
    const [name, value] = [trailers[i] as string, trailers[i + 1] as string];
    if (passesInTrailers(name, 'request') && !/[\r\n\0]/.test(value)) lines += `${name}: ${value}\r\n`;
  }
  return Buffer.from(`0\r\n${lines}\r\n`, 'latin1');
}
