import { ResetCode, type ResetCodeValue } from '../../link/frames.ts';
import type { DoneHow, LinkerLink } from '../../link/linker-link.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';
import type { Ownership } from '../../memory/reused-reads.ts';
import type { Lender } from '../matching/lent-slots.ts';

/** The relay's handling of a stream's slot. */
export interface RelayedSlot {
  /** The stream has left the `cost` slots that it had at the lender. */
  free(cost: number): void;
  /** The stream is over before it had a slot. */
  givenUp(stream: RelayedStream): void;
}

/** Two streams as one: `near` comes from the node that holds the client, `far` goes to the real linker. */
export class RelayedStream implements StreamHandler {
  readonly #near: Stream;
  readonly #nearLink: LinkerLink;
  readonly #lender: Lender;
  readonly #flags: number;
  readonly #slot: RelayedSlot;
  #far: Stream | null = null;
  /** Bytes that came before there was a slot: never more than a window. */
  #early: Buffer[] = [];
  #endedEarly = false;
  #nearWaiting = 0;
  #farWaiting = 0;

  constructor(near: Stream, nearLink: LinkerLink, lender: Lender, flags: number, slot: RelayedSlot) {
    this.#near = near;
    this.#nearLink = nearLink;
    this.#lender = lender;
    this.#flags = flags;
    this.#slot = slot;
  }

  get where(): 'visit' {
    return 'visit';
  }

  /** Slots that it takes. */
  get cost(): number {
    return this.#near.cost;
  }

  /** Each side is told by itself, and what the far one has to say of its slot still comes. */
  fail(): void {
    if (this.#far === null) this.#giveUp();
    else this.#lender.link.reset(this.#far, ResetCode.CANCEL);
  }

  /** Goes on to the lender, where its slots are reserved. */
  begin(): void {
    const handler: StreamHandler = {
      where: 'visit',
      fail: () => this.fail(),
      onData: (chunk) => this.#fromFar(chunk),
      onEnd: () => this.#near.end(),
      onWaits: () => this.#nearLink.waits(this.#near),
      onConnected: (microseconds) => this.#near.connected(microseconds),
      onDrain: () => {
        this.#near.consumed(this.#nearWaiting);
        this.#nearWaiting = 0;
      },
      onReset: (code, reached, reused) => this.#nearLink.free(this.#near, code, reached, reused),
    };
    this.#far = this.#lender.link.openReserved(handler, this.#flags, this.#near, () => {
      this.#slot.free(this.cost);
      // Both ends of the slot become free together; when the far side was reset it has freed the near one already.
      this.#nearLink.free(this.#near, ResetCode.CLOSED, true, false);
    });
    for (const chunk of this.#early) this.onData(chunk);
    this.#early = [];
    if (this.#endedEarly) this.#far.end();
  }

  // ── the holding node's side ──

  onData(chunk: Buffer): Ownership {
    if (this.#far === null) {
      this.#early.push(chunk);
      return 'kept';
    }
    if (this.#far.write(chunk)) this.#near.consumed(chunk.length);
    else this.#nearWaiting += chunk.length;
    return 'borrowed';
  }

  onEnd(): void {
    if (this.#far === null) this.#endedEarly = true;
    else this.#far.end();
  }

  onDrain(): void {
    this.#far?.consumed(this.#farWaiting);
    this.#farWaiting = 0;
  }

  /** The holding node gave the stream up, or its link broke. */
  onReset(code: ResetCodeValue): void {
    if (this.#far === null) this.#giveUp();
    else this.#lender.link.reset(this.#far, code === ResetCode.LINK_LOST ? ResetCode.CANCEL : code);
  }

  /** The holding node has read what the application says about its limit. */
  said(text: string): void {
    if (this.#far !== null) this.#lender.link.said(this.#far, text);
  }

  /** The holding node wants it back, if it still waits. */
  takeBack(): void {
    if (this.#far === null) this.#giveUp();
    else this.#far.takeBack();
  }

  /** The holding node has seen the exchange complete. */
  done(how: DoneHow): void {
    if (this.#far === null) this.#giveUp();
    else if (how === 'keep') this.#lender.link.doneAndKeep(this.#far);
    else this.#lender.link.doneAndClose(this.#far);
  }

  #giveUp(): void {
    this.#early = [];
    this.#slot.givenUp(this);
    this.#nearLink.free(this.#near, ResetCode.CLOSED, false, false);
  }

  #fromFar(chunk: Buffer): Ownership {
    if (this.#near.write(chunk)) this.#far?.consumed(chunk.length);
    else this.#farWaiting += chunk.length;
    return 'borrowed';
  }
}
