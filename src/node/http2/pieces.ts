/** A smaller piece is put together with its neighbours. */
const SMALL_BYTES_MAX = 512;
const JOINED_BYTES_MAX = 4_096;

/**
 * Pieces of a body that wait, in their order. Small ones are put together: a peer that sends a byte at a time must not make us keep an
 * object for each.
 */
export class Pieces {
  /** Nothing waits. Most bodies never do. */
  static readonly NONE = new Pieces();
  readonly #pieces: Buffer[] = [];
  /** The buffer of which the last piece is a part, where more fits behind it. */
  #joined: Buffer | null = null;
  #joinedBytes = 0;
  bytes = 0;

  get count(): number {
    return this.#pieces.length;
  }

  get first(): Buffer | undefined {
    return this.#pieces[0];
  }

  /** These, or new ones, with one more. The piece is in memory of its own, or is not changed as long as it waits. */
  with(piece: Buffer): Pieces {
    const pieces = this === Pieces.NONE ? new Pieces() : this;
    pieces.#push(piece);
    return pieces;
  }

  #push(piece: Buffer): void {
    this.bytes += piece.length;
    const last = this.#pieces.at(-1);
    if (piece.length > SMALL_BYTES_MAX || last === undefined || !this.#hasRoom(last, piece.length)) {
      this.#joined = null;
      this.#pieces.push(piece);
      return;
    }
    if (this.#joined === null) {
      this.#joined = Buffer.allocUnsafeSlow(JOINED_BYTES_MAX);
      this.#joinedBytes = last.copy(this.#joined);
    }
    const start = this.#joinedBytes - last.length;
    this.#joinedBytes += piece.copy(this.#joined, this.#joinedBytes);
    this.#pieces[this.#pieces.length - 1] = this.#joined.subarray(start, this.#joinedBytes);
  }

  #hasRoom(last: Buffer, bytes: number): boolean {
    return this.#joined === null ? last.length <= SMALL_BYTES_MAX : this.#joinedBytes + bytes <= JOINED_BYTES_MAX;
  }

  shift(): Buffer | undefined {
    const piece = this.#pieces.shift();
    this.bytes -= piece?.length ?? 0;
    if (this.#pieces.length === 0) this.#joined = null;
    return piece;
  }

  /** So many bytes of the first piece have gone. */
  drop(bytes: number): void {
    const first = this.#pieces[0];
    if (first === undefined || bytes >= first.length) {
      this.shift();
      return;
    }
    this.bytes -= bytes;
    this.#pieces[0] = first.subarray(bytes);
  }

  clear(): void {
    if (this === Pieces.NONE) return;
    this.#pieces.length = 0;
    this.#joined = null;
    this.bytes = 0;
  }
}
