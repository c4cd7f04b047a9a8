/** The end of a stream of bytes, at most `bytesMax` of it, without keeping the rest. */
export class OutputTail {
  readonly #bytesMax: number;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #dropped = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(bytes: Buffer): void {
    this.#kept.push(bytes);
    this.#keptBytes += bytes.length;
    // It grows to twice the limit before it is cut, so that not every small write costs a copy.
    if (this.#keptBytes > 2 * this.#bytesMax) this.#cut();
  }

  /** Whole lines when something was left out, so that the text does not begin inside a word or a character. */
  text(): string {
    this.#cut();
    const text = Buffer.concat(this.#kept).toString('utf8');
    const lineEnd = this.#dropped ? text.indexOf('\n') : -1;
    return text.slice(lineEnd + 1).trimEnd();
  }

  #cut(): void {
    if (this.#keptBytes <= this.#bytesMax) return;
    const all = Buffer.concat(this.#kept);
    // A copy, because a slice would keep the whole buffer in memory.
    const tail = Buffer.from(all.subarray(all.length - this.#bytesMax));
    this.#kept = [tail];
    this.#keptBytes = tail.length;
    this.#dropped = true;
  }
}
