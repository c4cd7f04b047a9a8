import { ownBytes } from '../../reused-reads.ts';

/** Beyond it a request can't be sent a second time. */
const REPLAY_BYTES_MAX = 32_768;

/** What was read of a request, as long as it may have to be sent, or sent again. */
export class RequestBytes {
  /** Everything that was read, kept or not. */
  total: number;
  #parts: Buffer[] | null;

  constructor(head: Buffer) {
    this.total = head.length;
    this.#parts = [head];
  }

  /** `sent`: it is on its way already and kept only for another attempt. */
  add(part: Buffer, sent: boolean): void {
    this.total += part.length;
    if (this.#parts === null) return;
    if (sent && this.total > REPLAY_BYTES_MAX) this.#parts = null;
    else this.#parts.push(ownBytes(part));
  }

  get isWhole(): boolean {
    return this.#parts !== null;
  }

  /** All of it. @throws Error when it was not kept. */
  join(): Buffer {
    if (this.#parts === null) throw new Error('the request was not kept');
    return this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.total);
  }

  drop(): void {
    this.#parts = null;
  }
}
