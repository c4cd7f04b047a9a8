import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { InstanceReport, LimitSetter } from '../link/instance-report.ts';
import type { Limit } from './limit.ts';
import type { Slots } from './slots.ts';

/** By then the application has got the requests that were given to it just before its limit was lowered. */
const ARRIVAL_MS = 10;
/** An application that does not accept has nothing that is beyond its limit. */
const CONNECT_MS_MAX = 1_000;

/** An instance as its application sees it at the control socket. */
export interface InstancePicture {
  readonly instance: string;
  readonly route: string;
  readonly state: InstanceReport['state'];
  /** How many requests the application may have at once now. */
  readonly concurrency: number;
  readonly setBy: LimitSetter;
  /** Requests that it has, or that wait for it at the linker. */
  readonly active: number;
  /** Whether it is the newest instance of its route. */
  readonly newest: boolean;
  /** The version of the linker's package. */
  readonly version: string | null;
}

export interface ControlledInstance {
  readonly instance: string;
  readonly route: string;
  readonly version: string | null;
  readonly slots: Slots;
  readonly limit: Limit;
  /** Connections to the application that are not there yet. */
  connecting(): readonly { readonly state: string }[];
  /** The linker searches for the limit from now on. */
  search(): void;
  state(): InstanceReport['state'];
  isNewest(): boolean;
  /** Asks for one more, newer instance of the route. False: no node is there to ask. */
  startAnother(): boolean;
  /** The instance leaves gracefully. */
  leave(): void;
}

/** The calls that an application may make to its linker. */
export class InstanceControl {
  readonly #of: ControlledInstance;

  constructor(of: ControlledInstance) {
    this.#of = of;
  }

  /** The instance as it is, once what it says about its limit holds for the application, too. */
  async settledPicture(): Promise<InstancePicture> {
    await this.#arrived();
    return this.picture;
  }

  get picture(): InstancePicture {
    const { instance, route, version, slots, limit, state, isNewest } = this.#of;
    const { value: concurrency, setBy } = limit;
    return { instance, route, state: state(), concurrency, setBy, active: slots.inUse, newest: isNewest(), version };
  }

  /** Resolves once the limit is in force. */
  async limitTo(said: number | 'auto'): Promise<void> {
    if (said === 'auto') this.#of.search();
    else this.#of.limit.set(said, 'control');
    await this.#arrived();
  }

  /**
   * Where the limit was lowered below what the application has, a request that was given to it right before may still be on its way: its
   * connection is not there yet, or it lies in a socket that the application has not read. It arrives before the response does.
   */
  async #arrived(): Promise<void> {
    const { slots, connecting } = this.#of;
    if (slots.atApplication <= slots.limit) return;
    const until = performance.now() + CONNECT_MS_MAX;
    const open = connecting();
    while (open.some(({ state }) => state === 'connecting') && performance.now() < until) await sleep(1);
    await sleep(ARRIVAL_MS);
    // A process that gets no time sees that it is late before it sees what has come meanwhile.
    await turn();
  }

  startAnother(): boolean {
    return this.#of.startAnother();
  }

  /** Resolves when it has begun to leave. */
  async leave(): Promise<void> {
    this.#of.leave();
    await turn();
  }
}
