import type { ClientStream } from './client-stream.ts';

/** Streams whose bodies wait for the client. Each has its turn, so that a large response does not keep the others waiting. */
export class Turns {
  readonly #waiting = new Set<ClientStream>();

  add(stream: ClientStream): void {
    this.#waiting.add(stream);
  }

  delete(stream: ClientStream): void {
    this.#waiting.delete(stream);
  }

  /** Until `mayGoOn` says no, or each has sent what its window lets through. */
  take(mayGoOn: () => boolean): void {
    for (let sends = true; sends && this.#waiting.size > 0; ) {
      sends = false;
      for (const stream of [...this.#waiting]) {
        if (!mayGoOn()) return;
        if (stream.sendTurn()) sends = true;
        // The rest waits for its window.
        else this.#waiting.delete(stream);
      }
    }
  }
}
