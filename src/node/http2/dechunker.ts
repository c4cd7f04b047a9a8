/** Takes the framing off a chunked body that was checked before: what comes is well-formed. */
export class Dechunker {
  /** Names and values, one after the other, lower-cased names. */
  readonly trailers: (readonly [name: string, value: string])[] = [];
  complete = false;
  #state: 'size' | 'data' | 'data-end' | 'trailers' = 'size';
  #remaining = 0;
  #line = '';

  /** The content in `bytes`, without copying it. */
  take(bytes: Buffer): Buffer[] {
    const contents: Buffer[] = [];
    for (let at = 0; at < bytes.length && !this.complete; ) {
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
      this.#line += bytes.toString('latin1', at, end);
      at = end;
      if (newline !== -1) this.#lineEnded();
    }
    return contents;
  }

  #lineEnded(): void {
    const line = this.#line.trimEnd();
    this.#line = '';
    if (this.#state === 'data-end') {
      this.#state = 'size';
    } else if (this.#state === 'size') {
      this.#remaining = Number.parseInt(line, 16);
      this.#state = this.#remaining === 0 ? 'trailers' : 'data';
    } else if (line === '') {
      this.complete = true;
    } else {
      const colon = line.indexOf(':');
      this.trailers.push([line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]);
    }
  }
}
