import { AnswerGap } from './ack-stalls.ts';
import { AnswerHead } from './answer-head.ts';
import { hear } from './heard.ts';

/** What a connection notes of the answer to the stream that it serves. */
export class AnswerWatch {
  /** The application has said something. */
  begun = false;
  /** When its last bytes came, see heard.ts. */
  heardAt = 0;
  readonly #gap = new AnswerGap();
  readonly #head = new AnswerHead();

  /** Between the first bytes of the answer and the next, where `timed` was said. */
  get gapMs(): number {
    return this.#gap.ms;
  }

  /** Another stream is served. */
  begin(): void {
    this.begun = false;
    this.heardAt = 0;
    this.#gap.reset();
    this.#head.begin();
  }

  /** Bytes of HTTP/1 or of anything else have come. Returns what they say about the limit. */
  came(chunk: Buffer, timed: boolean): string | null {
    if (timed) this.#gap.saw(!this.begun);
    this.begun = true;
    this.heardAt = hear();
    return this.#head.take(chunk);
  }

  /** Bytes have come on a connection that stays with its stream: of HTTP/2. */
  cameFramed(): void {
    this.begun = true;
    this.heardAt = hear();
  }
}
