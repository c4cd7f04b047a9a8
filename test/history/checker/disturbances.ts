/** When bounds of time do not count: while a fault lasts and a while after it, and for as long as the machine gave a process no time. */
import type { Fault } from '../events.ts';
import { type Line, MS, type Rule, SECOND } from './line.ts';

/** The directory is whole again two beats after a loss, and a dead node is noticed after three seconds. */
const AFTERMATH = 5 * SECOND;
/** Faults and stalls that are remembered. */
const KEPT = 120 * SECOND;
/** So much lateness of a timer is what any machine has. */
const STALLS_MAX = 20_000;

export interface KnownFault {
  readonly line: Line;
  readonly fault: Fault;
  readonly from: number;
  /** Infinity while it lasts. */
  until: number;
}

interface Stall {
  readonly from: number;
  readonly until: number;
}

export class Disturbances implements Rule {
  /** The one that began first first. */
  readonly faults: KnownFault[] = [];
  readonly #stalls: Stall[] = [];
  stalledMs = 0;

  take(line: Line): void {
    const { event } = line;
    if (event.e === 'fault') {
      this.faults.push({ line, fault: event, from: event.t, until: Number.POSITIVE_INFINITY });
      this.#forget(event.t);
    } else if (event.e === 'mended') {
      const known = this.faults.findLast(({ fault, until }) => fault.n === event.n && until === Number.POSITIVE_INFINITY);
      if (known !== undefined) known.until = event.t;
    } else if (event.e === 'stall') {
      // Its own work is no excuse.
      const excused = Math.max(0, event.lateMs - event.ownCpuMs);
      this.stalledMs += excused;
      this.#stalls.push({ from: event.t - excused * MS, until: event.t });
      if (this.#stalls.length > STALLS_MAX) this.#stalls.splice(0, STALLS_MAX / 2);
    }
  }

  /** Whether a fault is a reason to wait within this time; `but`: not one of these. */
  disturbed(from: number, until: number, but: (fault: Fault) => boolean = () => false): boolean {
    return this.faults.some((one) => one.fault.disturbs && !but(one.fault) && one.from <= until && one.until + AFTERMATH >= from);
  }

  /** Whether nodes did not hear each other within this time. */
  deaf(from: number, until: number): boolean {
    return this.faults.some((one) => one.fault.deafens === true && one.from <= until && one.until >= from);
  }

  /** For how long, within this time, some process stood still because it was given no processor. */
  stalled(from: number, until: number): number {
    let sum = 0;
    for (let i = this.#stalls.length - 1; i >= 0; i--) {
      const stall = this.#stalls[i] as Stall;
      if (stall.until < from - 30 * SECOND) break;
      sum += Math.max(0, Math.min(until, stall.until) - Math.max(from, stall.from));
    }
    return sum;
  }

  #forget(now: number): void {
    while (this.faults[0] !== undefined && this.faults[0].until < now - KEPT) this.faults.shift();
  }
}
