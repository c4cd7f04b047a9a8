import { parseHead } from '../http1/head/llhttp.ts';
import type { ClientStream } from './client-stream.ts';
import { Dechunker } from './dechunker.ts';
import { passesInResponse } from './fields.ts';

type State = 'head' | 'body' | 'ended';

/** Says in HTTP/2 what an exchange writes in HTTP/1.1. Each head comes in one piece, and all of it was checked before. */
export class ResponseWriter {
  readonly #stream: ClientStream;
  readonly #method: string;
  #state: State = 'head';
  #chunks: Dechunker | null = null;
  /** Of a body with a length; Infinity: it ends with the exchange. */
  #remaining = Number.POSITIVE_INFINITY;

  constructor(stream: ClientStream, method: string) {
    this.#stream = stream;
    this.#method = method;
  }

  /** False: wait for the stream to be drained. */
  write(bytes: Buffer): boolean {
    let rest = bytes;
    while (rest.length > 0 && this.#state === 'head') rest = this.#head(rest);
    if (rest.length > 0 && this.#state === 'body') this.#body(rest);
    return !this.#stream.isFull;
  }

  /** The exchange is over. */
  end(): void {
    if (this.#state !== 'body') return;
    this.#state = 'ended';
    this.#stream.end();
  }

  #head(bytes: Buffer): Buffer {
    const parsed = parseHead('response', bytes);
    if (parsed.kind !== 'complete') {
      this.#breakOff();
      return bytes;
    }
    const { lines } = parsed.parser;
    const { status } = lines;
    const fields: string[] = [];
    let chunked = false;
    let length = -1;
    for (let i = 0; i < lines.count; i++) {
      const name = lines.name(i);
      if (name === 'transfer-encoding') chunked = true;
      if (!passesInResponse(name)) continue;
      // It was judged when the head was read.
      if (name === 'content-length') length = Number(lines.value(i));
      // It has no body by its meaning, and Node sends none (RFC 9110 section 15.3.6).
      if (name === 'content-length' && status === 205) continue;
      fields.push(name, withoutLines(lines.value(i)));
    }
    parsed.parser.release();
    if (status < 200) this.#stream.inform(status, fields);
    else this.#begin(status, fields, chunked, length);
    return bytes.subarray(parsed.bytes);
  }

  #begin(status: number, fields: readonly string[], chunked: boolean, length: number): void {
    const bodiless = this.#method === 'HEAD' || status === 204 || status === 205 || status === 304 || (!chunked && length === 0);
    if (bodiless) {
      this.#state = 'ended';
      this.#stream.respond(status, fields, true);
      return;
    }
    this.#state = 'body';
    if (chunked) {
      const chunks = new Dechunker();
      this.#chunks = chunks;
      this.#stream.respond(status, fields, false, () => chunks.trailers);
      return;
    }
    if (length !== -1) this.#remaining = length;
    this.#stream.respond(status, fields, false);
  }

  #body(bytes: Buffer): void {
    if (this.#chunks !== null) {
      this.#chunk(bytes, this.#chunks);
      return;
    }
    this.#remaining -= bytes.length;
    this.#stream.write(bytes);
    if (this.#remaining === 0) this.end();
  }

  #chunk(bytes: Buffer, chunks: Dechunker): void {
    const contents = chunks.take(bytes);
    // Each write costs much more than a chunk of one byte has.
    if (contents.length === 1) this.#stream.write(contents[0] as Buffer);
    else if (contents.length > 1) this.#stream.write(Buffer.concat(contents));
    if (chunks.malformed) this.#breakOff();
    else if (chunks.complete) this.end();
  }

  #breakOff(): void {
    this.#state = 'ended';
    this.#stream.breakOff();
  }
}

function withoutLines(value: string): string {
  return value.replace(/[\r\n\0]+/g, ' ');
}
