import type { HeldTally } from './held-queue.ts';

/** A request whose body is awaited before it may have a slot. */
interface Collecting {
  /** Memory that it keeps. */
  heldBytes: number;
  /** Since when it is in the queue; performance.now() in ms. */
  arrivedAt: number;
  /** It goes on with what is there. */
  stopCollecting(): void;
}

/** The body of one request while it is collected. */
export class BodyCollection {
  readonly #request: Collecting;
  readonly #buffers: RequestBuffers;
  readonly #collected: () => void;

  /** Null: there is no room for it. `collected` is called when the request may have a slot. */
  static begin(request: Collecting, buffers: RequestBuffers, collected: () => void): BodyCollection | null {
    return buffers.begin(request, request.heldBytes) ? new BodyCollection(request, buffers, collected) : null;
  }

  private constructor(request: Collecting, buffers: RequestBuffers, collected: () => void) {
    this.#request = request;
    this.#buffers = buffers;
    this.#collected = collected;
  }

  get bytesMax(): number {
    return this.#buffers.bytesMax;
  }

  /** So many bytes more. False: there is no room for more. */
  keep(bytes: number): boolean {
    this.#request.heldBytes += bytes;
    return this.#buffers.keep(bytes);
  }

  /** What it kept is counted elsewhere from now on. */
  end(): void {
    this.#buffers.end(this.#request, this.#request.heldBytes);
  }

  /** The request takes its place in the queue: those whose bodies are there do not wait for it, and its hold begins. */
  finish(): void {
    this.#request.arrivedAt = performance.now();
    this.#collected();
  }
}

/** The bodies that are collected before their requests are given a slot: a client that sends slowly keeps nobody from one. */
export class RequestBuffers {
  /** Of one request. One with more goes on when so much of it is there. */
  readonly bytesMax: number;
  readonly #tally: HeldTally;
  readonly #collecting = new Set<Collecting>();

  constructor(bytesMax: number, tally: HeldTally) {
    this.bytesMax = bytesMax;
    this.#tally = tally;
  }

  /** It keeps so many bytes already. False: there is no room for more. */
  begin(request: Collecting, bytes: number): boolean {
    if (this.#tally.isFull) return false;
    this.#collecting.add(request);
    this.keep(bytes);
    return true;
  }

  /** So many bytes more. False: there is no room for more. */
  keep(bytes: number): boolean {
    return this.#tally.keep(bytes);
  }

  /** What it kept is counted elsewhere from now on. */
  end(request: Collecting, bytes: number): void {
    if (this.#collecting.delete(request)) this.keep(-bytes);
  }

  /** The node leaves: nobody is waited for. */
  flush(): void {
    for (const request of [...this.#collecting]) request.stopCollecting();
  }
}
