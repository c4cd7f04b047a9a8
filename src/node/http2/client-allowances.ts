import type { ClientLimits } from '../../config/listener-settings.ts';
import { Allowance } from './allowance.ts';
import { wireLimits } from './http2-limits.ts';

/** The acts that a client may still do, besides frames that carry nothing. Each request that is served earns it more. */
export class ClientAllowances {
  /** Streams that it cancels. */
  readonly resets: Allowance;
  /** Streams that are refused or reset for what it did. */
  readonly faults: Allowance;

  constructor(limits: ClientLimits, now: number) {
    const wire = wireLimits(limits);
    const { resetsMax, resetsPerSecondMax, faultsMax, faultsPerSecondMax } = wire;
    this.resets = new Allowance(resetsMax, resetsPerSecondMax, resetsMax, now);
    this.faults = new Allowance(faultsMax, faultsPerSecondMax, faultsMax, now);
  }

  /** A request of it was answered. */
  answered(): void {
    this.resets.earn(1);
    this.faults.earn(1);
  }
}
