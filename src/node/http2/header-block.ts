import { FrameFlag } from './frame-walk.ts';
import { HpackScanner } from './hpack-scanner.ts';

const PRIORITY_BYTES = 5;

/** The header blocks of one direction: HEADERS and the CONTINUATIONs that follow, with what is none of their fields left out. */
export class HeaderBlock {
  readonly #scanner = new HpackScanner();
  stream = 0;
  endsStream = false;
  #complete = false;
  /** Bytes before the fragment: the padding's length, the priority. */
  #lead = 0;
  #hasPadding = false;
  #fragmentLeft = 0;

  get malformed(): boolean {
    return this.#scanner.malformed;
  }

  get contentLength(): number {
    return this.#scanner.contentLength;
  }

  /** It is no HPACK: what follows on the connection means nothing. */
  get broken(): boolean {
    return this.#scanner.broken;
  }

  begin(stream: number, flags: number, length: number): void {
    this.stream = stream;
    this.endsStream = (flags & FrameFlag.END_STREAM) !== 0;
    this.#hasPadding = (flags & FrameFlag.PADDED) !== 0;
    this.#lead = (this.#hasPadding ? 1 : 0) + ((flags & FrameFlag.PRIORITY) !== 0 ? PRIORITY_BYTES : 0);
    this.#complete = (flags & FrameFlag.END_HEADERS) !== 0;
    this.#fragmentLeft = Math.max(0, length - this.#lead);
    this.#scanner.begin();
  }

  goOn(flags: number, length: number): void {
    this.#complete = (flags & FrameFlag.END_HEADERS) !== 0;
    this.#hasPadding = false;
    this.#lead = 0;
    this.#fragmentLeft = length;
  }

  payload(bytes: Buffer, from: number, to: number): void {
    let at = from;
    for (; at < to && this.#lead > 0; at++, this.#lead--) {
      if (this.#hasPadding) this.#fragmentLeft = Math.max(0, this.#fragmentLeft - (bytes[at] as number));
      this.#hasPadding = false;
    }
    const end = Math.min(to, at + this.#fragmentLeft);
    this.#scanner.take(bytes, at, end);
    this.#fragmentLeft -= end - at;
  }

  /** A frame of it is complete. Returns whether the block is. */
  frameEnded(): boolean {
    if (this.#complete) this.#scanner.end();
    return this.#complete;
  }
}
