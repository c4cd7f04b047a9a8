import { ResponseGap } from './ack-stalls.ts';
import { hear } from './heard.ts';
import { ResponseHead } from './response-head.ts';

/** HTTP/2: the offset of a frame's type, and the types that a response is made of. */
const FRAME_TYPE_AT = 3;
const DATA = 0;
const HEADERS = 1;

/** Is told how long responses take; null: nobody wants to know. */
export interface ResponseTimes {
  readonly took: ((ms: number) => void) | null;
}

/** The notes of a connection on the response to the stream that it serves. */
export class ResponseWatch {
  /** The application has said something. */
  begun = false;
  /** When its last bytes came, see heard.ts. */
  heardAt = 0;
  /** When the response began, where somebody wants to know how long it takes; 0: not known. */
  begunAt = 0;
  /** When the application was given the first bytes of the stream, where somebody wants to know that; 0: not known. */
  askedAt = 0;
  #wroteAt = 0;
  readonly #times: ResponseTimes;
  readonly #gap = new ResponseGap();
  readonly #head = new ResponseHead();

  constructor(times: ResponseTimes) {
    this.#times = times;
  }

  /** Between the first bytes of the response and the next, where `timed` was said. */
  get gapMs(): number {
    return this.#gap.ms;
  }

  /** Another stream is served. */
  begin(): void {
    this.begun = false;
    this.heardAt = 0;
    this.begunAt = 0;
    this.askedAt = 0;
    this.#gap.reset();
    this.#head.begin();
  }

  /** The application is given bytes of the stream: its response can't begin before the last of them. */
  wrote(): void {
    if (this.#times.took === null || this.begunAt !== 0) return;
    this.#wroteAt = performance.now();
    if (this.askedAt === 0) this.askedAt = this.#wroteAt;
  }

  #begins(): void {
    if (this.#times.took === null || this.begunAt !== 0 || this.askedAt === 0) return;
    this.begunAt = performance.now();
    this.#times.took(this.begunAt - this.#wroteAt);
  }

  /** Bytes of HTTP/1 or of anything else have come. Returns what they say about the limit. */
  came(chunk: Buffer, timed: boolean): string | null {
    if (timed) this.#gap.saw(!this.begun);
    if (!this.begun) this.#begins();
    this.begun = true;
    this.heardAt = hear();
    return this.#head.take(chunk);
  }

  /** Bytes have come on a connection that stays with its stream: of HTTP/2. */
  cameFramed(chunk: Buffer): void {
    const type = chunk[FRAME_TYPE_AT];
    if (type === HEADERS || type === DATA) this.#begins();
    this.begun = true;
    this.heardAt = hear();
  }
}
