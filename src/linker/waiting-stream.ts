import { Flag, ResetCode, type ResetCodeValue } from '../link/frames.ts';
import type { DoneHow } from '../link/linker-link.ts';
import type { Stream } from '../link/stream.ts';
import type { Ownership } from '../memory/reused-reads.ts';
import type { AppConnection } from './app-connection.ts';
import type { AppSide, Lender } from './app-side.ts';
import type { Slots } from './slots.ts';

export interface WaitingStreamOptions {
  readonly queue: WaitingStream[];
  readonly slots: Slots;
  readonly stream: Stream;
  readonly lender: Lender;
  /** The flags of its OPEN. */
  readonly flags: number;
  /** The connection that it was parked with; null: it has none yet. */
  readonly parked: AppConnection | null;
}

/** A stream for which there is no place, or no room within the limit, with what came for it meanwhile: never more than its window. */
export class WaitingStream implements AppSide {
  readonly stream: Stream;
  readonly lender: Lender;
  readonly flags: number;
  readonly parked: AppConnection | null;
  readonly #queue: WaitingStream[];
  readonly #slots: Slots;
  readonly #chunks: Buffer[] = [];
  #ended = false;
  #saidWaits = false;

  constructor({ queue, slots, stream, lender, flags, parked }: WaitingStreamOptions) {
    this.#queue = queue;
    this.#slots = slots;
    this.stream = stream;
    this.lender = lender;
    this.flags = flags;
    this.parked = parked;
    stream.handler = this;
    slots.waiting += stream.cost;
  }

  get where(): 'application' {
    return 'application';
  }

  get heardAt(): 0 {
    return 0;
  }

  get fresh(): boolean {
    return (this.flags & Flag.FRESH) !== 0;
  }

  fail(): void {
    this.end();
    this.parked?.fail();
  }

  /** Nobody will serve it. One that was parked ends with its connection. */
  end(): void {
    this.leave();
    if (!this.#giveToParked()) this.lender.free(this.stream, ResetCode.APP_REFUSED, false, false);
  }

  /** It waits no longer. */
  leave(): void {
    const at = this.#queue.indexOf(this);
    if (at === -1) return;
    this.#queue.splice(at, 1);
    this.#slots.waiting -= this.stream.cost;
  }

  handOver(connection: AppConnection): void {
    for (const chunk of this.#chunks) connection.onData(chunk);
    if (this.#ended) connection.onEnd();
  }

  sayWaits(): void {
    if (this.#saidWaits) return;
    this.#saidWaits = true;
    this.lender.waits(this.stream);
  }

  onData(chunk: Buffer): Ownership {
    this.#chunks.push(chunk);
    return 'kept';
  }

  onEnd(): void {
    this.#ended = true;
  }

  onDrain(): void {
    this.parked?.onDrain();
  }

  onReset(code: ResetCodeValue): void {
    this.leave();
    if (this.#giveToParked()) this.parked?.onReset(code);
    else this.lender.free(this.stream, ResetCode.CLOSED, false, false);
  }

  giveBack(): void {
    this.leave();
    if (this.parked !== null && this.#giveToParked()) {
      // Of its next exchange the application has nothing.
      this.parked.unpark();
      this.parked.close();
    } else this.lender.free(this.stream, ResetCode.CLOSED, false, false);
  }

  /** A correct node never parks a stream before its response. */
  park(): void {
    this.leave();
    if (this.#giveToParked()) this.parked?.close();
    else this.lender.free(this.stream, ResetCode.CLOSED, false, false);
  }

  unpark(): void {}

  done(how: DoneHow): void {
    this.leave();
    if (this.#giveToParked()) this.parked?.done(how);
    else if (how === 'close') this.lender.free(this.stream, ResetCode.CLOSED, false, false);
  }

  /** The connection that it has ends it. */
  #giveToParked(): boolean {
    if (this.parked === null) return false;
    this.stream.handler = this.parked;
    return true;
  }
}
