/** Visits and lenders without sockets: they remember what was done with them. */
import type { PullproxyError } from '../../../src/errors.ts';
import type { NodeLink } from '../../../src/link/node-link.ts';
import type { Lender } from '../../../src/node/matching/lent-slots.ts';
import type { ClientWord } from '../../../src/node/matching/queue-rules.ts';
import { Visit } from '../../../src/node/matching/visit.ts';

/** The part of a link that dispatching uses. */
export class StandInLink {
  idle: number;
  active = 0;
  reserved = 0;
  returned = 0;
  isDismissed = false;
  /** False: a linker that knows no costs. */
  countsCosts = true;
  /** What the linker was asked to bring together, in order. */
  readonly gathered: number[] = [];
  readonly moves: { readonly count: number; readonly address: string }[] = [];

  constructor(idle: number) {
    this.idle = idle;
  }

  giveBack(count: number): void {
    this.#take(count);
    this.returned += count;
  }

  move(count: number, address: string): void {
    this.#take(count);
    this.moves.push({ count, address });
  }

  reserve(count: number): void {
    this.#take(count);
    this.reserved += count;
  }

  get own(): number {
    return this.idle + this.active;
  }

  gather(count: number): void {
    this.gathered.push(count);
  }

  serve(cost = 1): void {
    this.#take(cost);
    this.active += cost;
  }

  /** A stream that took so many slots is over. */
  end(cost = 1): void {
    this.active -= cost;
    this.idle += cost;
  }

  #take(count: number): void {
    if (count > this.idle) throw new Error(`${count} slots taken of ${this.idle}`);
    this.idle -= count;
  }
}

export interface StandInLender extends Lender {
  readonly stub: StandInLink;
}

export function lender(seq: number, idle: number, over: Partial<Omit<Lender, 'link'>> = {}): StandInLender {
  const stub = new StandInLink(idle);
  return {
    instance: `i${seq}`,
    seq,
    concurrency: 10,
    concurrencyMax: 10,
    relayed: false,
    link: stub as unknown as NodeLink,
    stub,
    ...over,
  };
}

export class StandInVisit extends Visit {
  readonly served: StandInLender[] = [];
  readonly refused: PullproxyError[] = [];
  left = false;
  /** It was served, and not held again since. */
  #isServed = false;
  /** Called when it is refused, before it is over. */
  whenRefused: () => void = () => {};

  /** The headers of its client, by name. */
  says: Readonly<Record<string, string>> = {};

  constructor(arrivedAt = performance.now(), heldBytes = 100) {
    super(arrivedAt);
    this.heldBytes = heldBytes;
  }

  override get word(): ClientWord {
    const { says } = this;
    return {
      address: says.address ?? '192.0.2.1',
      isTrusted: true,
      method: 'GET',
      target: says.target ?? '/',
      header: (name) => says[name] ?? '',
    };
  }

  override get isOver(): boolean {
    return this.left || this.refused.length > 0;
  }

  override held(holdId: string, cold: boolean): void {
    super.held(holdId, cold);
    this.#isServed = false;
  }

  override serve(by: Lender): void {
    this.#expectNoEnd();
    if (this.#isServed) throw new Error('the visit is served twice');
    this.#isServed = true;
    this.served.push(by as StandInLender);
    (by as StandInLender).stub.serve(this.cost);
  }

  override refuse(error: PullproxyError): void {
    this.#expectNoEnd();
    this.refused.push(error);
    this.whenRefused();
  }

  override fail(): void {
    this.left = true;
  }

  get codes(): string[] {
    return this.refused.map(({ code }) => code);
  }

  #expectNoEnd(): void {
    if (this.isOver) throw new Error('the visit is over');
    if (this.queue !== null) throw new Error('the visit is still held');
  }
}
