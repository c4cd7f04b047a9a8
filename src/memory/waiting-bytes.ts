/** Copies of bytes that wait, in memory that is used again: see reused-reads.ts for what it costs otherwise. */

import { READ_BYTES_MAX } from './reused-reads.ts';

/** For all streams together. */
const SPARE_SLABS_MAX = 32;
/** Less is copied into memory of its own size. */
const SLAB_SHARE_MIN = 4;

const spare: Buffer[] = [];

export class WaitingBytes {
  readonly #memory: Buffer;
  #from = 0;
  readonly #to: number;

  constructor(bytes: Buffer) {
    const fits = bytes.length <= READ_BYTES_MAX && bytes.length * SLAB_SHARE_MIN > READ_BYTES_MAX;
    this.#memory = fits ? (spare.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES_MAX)) : Buffer.allocUnsafeSlow(bytes.length);
    bytes.copy(this.#memory);
    this.#to = bytes.length;
  }

  get length(): number {
    return this.#to - this.#from;
  }

  get bytes(): Buffer {
    return this.#memory.subarray(this.#from, this.#to);
  }

  /** The first `count` of them do not wait any more. */
  drop(count: number): void {
    if (count === 0) return;
    this.#from += count;
    if (this.#from === this.#to) this.#giveBack();
  }

  dropAll(): void {
    this.drop(this.length);
  }

  #giveBack(): void {
    if (this.#memory.length === READ_BYTES_MAX && spare.length < SPARE_SLABS_MAX) spare.push(this.#memory);
  }
}
