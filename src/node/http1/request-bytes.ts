/** Beyond it a request can't be sent a second time. */
const REPLAY_BYTES_MAX = 32_768;
/** A body that comes byte by byte is not moved for each of them. */
const BODY_BYTES_MIN = 256;
const GROWTH_BYTES_MAX = 262_144;

/** The bytes of a request, as long as they may have to be sent, or sent again. The body is kept in one piece: an object for each part of it would cost more than a small part itself. */
export class RequestBytes {
  /** Everything that was read, kept or not. */
  total: number;
  /** Null: not kept any more. */
  #head: Buffer | null;
  #body: Buffer | null = null;
  #bodyBytes = 0;

  constructor(head: Buffer) {
    this.total = head.length;
    this.#head = head;
  }

  /** Nothing was sent yet. */
  replaceHead(head: Buffer): void {
    if (this.#head === null) throw new Error('the request was not kept');
    this.total += head.length - this.#head.length;
    this.#head = head;
  }

  /** Memory that it keeps. */
  get keptBytes(): number {
    return this.#head === null ? 0 : this.#head.length + (this.#body?.length ?? 0);
  }

  /** `sent`: it is on its way already and kept only for another attempt. */
  add(part: Buffer, sent: boolean): void {
    this.total += part.length;
    if (this.#head === null) return;
    if (sent && this.total > REPLAY_BYTES_MAX) this.drop();
    else this.#keep(part);
  }

  get isWhole(): boolean {
    return this.#head !== null;
  }

  /** All of it. @throws Error when it was not kept. */
  join(): Buffer {
    if (this.#head === null) throw new Error('the request was not kept');
    if (this.#body === null) return this.#head;
    return Buffer.concat([this.#head, this.#body.subarray(0, this.#bodyBytes)], this.#head.length + this.#bodyBytes);
  }

  /** It was sent: it is kept on only if it is small. */
  sent(): void {
    if (this.total > REPLAY_BYTES_MAX) this.drop();
  }

  drop(): void {
    this.#head = null;
    this.#body = null;
  }

  /** Copies it: the part may lie in memory that is used again, or be a small part of a large read. */
  #keep(part: Buffer): void {
    const bytes = this.#bodyBytes + part.length;
    if (this.#body === null || bytes > this.#body.length) {
      const grown = Buffer.allocUnsafeSlow(
        Math.max(BODY_BYTES_MIN, bytes, Math.min(2 * this.#bodyBytes, this.#bodyBytes + GROWTH_BYTES_MAX)),
      );
      this.#body?.copy(grown, 0, 0, this.#bodyBytes);
      this.#body = grown;
    }
    part.copy(this.#body, this.#bodyBytes);
    this.#bodyBytes = bytes;
  }
}
