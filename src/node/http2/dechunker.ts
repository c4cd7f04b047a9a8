import { isForbiddenTrailer } from '../http1/trailers.ts';

/** All lines of a trailer section together. */
const TRAILER_BYTES_MAX = 65_536;

/** Takes the framing off a chunked body that was checked before: what comes is well-formed. Its memory is bounded whatever comes. */
export class Dechunker {
  /** Names, in lower case, and values, one after the other: those that have a place in trailers. */
  readonly trailers: string[] = [];
  complete = false;
  /** It can't be understood, or has too many trailers. */
  malformed = false;
  #state: 'size' | 'data' | 'data-end' | 'trailers' = 'size';
  #remaining = 0;
  /** The digits of the size are over: what follows on the line is an extension, and dropped. */
  #sized = false;
  #trailerLine = '';
  #trailerBytes = 0;

  /** The content in `bytes`, without copying it. */
  take(bytes: Buffer): Buffer[] {
    const contents: Buffer[] = [];
    for (let at = 0; at < bytes.length && !this.complete && !this.malformed; ) {
      if (this.#state === 'data') {
        const end = Math.min(bytes.length, at + this.#remaining);
        contents.push(bytes.subarray(at, end));
        this.#remaining -= end - at;
        at = end;
        if (this.#remaining === 0) this.#state = 'data-end';
        continue;
      }
      const newline = bytes.indexOf(0x0a, at);
      const end = newline === -1 ? bytes.length : newline + 1;
      this.#addToLine(bytes, at, end);
      at = end;
      if (newline !== -1) this.#lineEnded();
    }
    return contents;
  }

  #addToLine(bytes: Buffer, start: number, end: number): void {
    if (this.#state === 'size') {
      for (let at = start; at < end && !this.#sized; at++) this.#addDigit(bytes[at] as number);
    } else if (this.#state === 'trailers') {
      this.#trailerBytes += end - start;
      if (this.#trailerBytes > TRAILER_BYTES_MAX) this.malformed = true;
      else this.#trailerLine += bytes.toString('latin1', start, end);
    }
  }

  #addDigit(byte: number): void {
    const digit = Number.parseInt(String.fromCharCode(byte), 16);
    this.#sized = Number.isNaN(digit);
    if (!this.#sized) this.#remaining = this.#remaining * 16 + digit;
    if (!Number.isSafeInteger(this.#remaining)) this.malformed = true;
  }

  #lineEnded(): void {
    if (this.#state === 'data-end') {
      this.#state = 'size';
      this.#sized = false;
    } else if (this.#state === 'size') {
      this.#state = this.#remaining === 0 ? 'trailers' : 'data';
    } else {
      const line = this.#trailerLine.trimEnd();
      this.#trailerLine = '';
      if (line === '') this.complete = true;
      else this.#addTrailer(line);
    }
  }

  #addTrailer(line: string): void {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    if (colon > 0 && !isForbiddenTrailer(name, 'response')) this.trailers.push(name, line.slice(colon + 1).trim());
  }
}
