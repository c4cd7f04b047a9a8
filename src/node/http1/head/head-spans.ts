/** A head with more headers is not read. Applications send more than clients do: nginx and HAProxy pass hundreds of Set-Cookie. */
export const HEADERS_MAX = 1_024;

/** The positions of names and values of a head in the parsed buffer. A value is copied only when it is asked for. */
export class HeadSpans {
  /** Four numbers a header: name start, name end, value start, value end. */
  readonly headers = new Int32Array(HEADERS_MAX * 4);
  count = 0;
  tooMany = false;
  urlStart = 0;
  urlEnd = 0;
  status = 0;
  #lastWasName = false;

  clear(): void {
    this.count = 0;
    this.tooMany = false;
    this.urlStart = this.urlEnd = 0;
    this.#lastWasName = false;
  }

  addUrl(at: number, length: number): void {
    if (this.urlEnd === 0) this.urlStart = at;
    this.urlEnd = at + length;
  }

  /** A parser may report one name or value in several pieces; they lie side by side. */
  addName(at: number, length: number): void {
    const headers = this.headers;
    if (this.#lastWasName && headers[this.count * 4 - 3] === at) {
      headers[this.count * 4 - 3] = at + length;
      return;
    }
    if (this.count === HEADERS_MAX) {
      this.tooMany = true;
      return;
    }
    const i = this.count * 4;
    headers[i] = at;
    headers[i + 1] = headers[i + 2] = headers[i + 3] = at + length;
    this.count++;
    this.#lastWasName = true;
  }

  addValue(at: number, length: number): void {
    const i = this.count * 4 - 4;
    if (i < 0 || this.tooMany) return;
    if (this.#lastWasName) this.headers[i + 2] = at;
    this.headers[i + 3] = at + length;
    this.#lastWasName = false;
  }
}
