/**
 * An application that writes the head of a response and then its body, without TCP_NODELAY, waits in between for our kernel to
 * acknowledge the head (Nagle's algorithm, RFC 896), and on a connection that was used before our kernel delays that by 40 ms in the hope
 * of a reply to send it with (RFC 9293 section 3.8.6.3). Python's http.server does so: 24 answers a second instead of a thousand. On a new
 * connection Linux acknowledges at once, and Node can't ask it to do so again (TCP_QUICKACK). So such an application gets a new one each time.
 */
const STALL_MS_MIN = 35;
const STALL_MS_MAX = 120;
/** A gap may be the application's own work, but hardly the same gap in this many responses in a row. */
const STALLS_IN_A_ROW = 4;

export class AckStalls {
  #inARow = 0;

  /** True from the response on that shows it. An application that was judged wrongly pays one connection for each response that took it 35 ms and more. */
  get found(): boolean {
    return this.#inARow >= STALLS_IN_A_ROW;
  }

  /** An exchange on a connection that was used before is over; `gapMs` lay between the first bytes of its response and the next, 0 when they came as one. */
  saw(gapMs: number): void {
    if (this.found) return;
    this.#inARow = gapMs >= STALL_MS_MIN && gapMs <= STALL_MS_MAX ? this.#inARow + 1 : 0;
  }
}

/** Measures the gap of one response. */
export class ResponseGap {
  /** Time between the first bytes of the response and the next; 0: they came together. */
  ms = 0;
  #answeredAt = 0;

  reset(): void {
    this.ms = 0;
    this.#answeredAt = 0;
  }

  /** Bytes of the response came. */
  saw(isFirst: boolean): void {
    if (isFirst) {
      this.#answeredAt = performance.now();
    } else if (this.#answeredAt > 0) {
      this.ms = performance.now() - this.#answeredAt;
      this.#answeredAt = 0;
    }
  }
}
