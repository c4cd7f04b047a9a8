import type { HeldTally } from './held-queue.ts';

/** A request whose body is awaited before it may have a slot. */
interface Collecting {
  /** Memory that it keeps. */
  readonly heldBytes: number;
  /** It goes on with what is there. */
  stopCollecting(): void;
}

/** Bodies that are collected before their requests get a slot, so that a slow client does not occupy one. */
export class RequestBuffers {
  /** For one request. A larger one goes on when so much of it is there. */
  readonly bytesMax: number;
  readonly #tally: HeldTally;
  readonly #collecting = new Set<Collecting>();

  constructor(bytesMax: number, tally: HeldTally) {
    this.bytesMax = bytesMax;
    this.#tally = tally;
  }

  /** False: there is no room for more. */
  begin(request: Collecting): boolean {
    if (this.#tally.isFull) return false;
    this.#collecting.add(request);
    this.keep(request.heldBytes);
    return true;
  }

  /** So many bytes more. False: there is no room for more. */
  keep(bytes: number): boolean {
    return this.#tally.keep(bytes);
  }

  /** From now on the bytes that it kept are counted elsewhere. */
  end(request: Collecting): void {
    if (this.#collecting.delete(request)) this.keep(-request.heldBytes);
  }

  /** The node leaves: it does not wait for bodies any more. */
  flush(): void {
    for (const request of [...this.#collecting]) request.stopCollecting();
  }
}
