import { BlockList, isIPv4, isIPv6 } from 'node:net';
import type { AddressRange } from '../../config/address-range.ts';

/** The proxies in front of this node whose word about a client's address is taken. */
export class TrustedProxies {
  readonly #ranges = new BlockList();

  constructor(ranges: readonly AddressRange[]) {
    for (const { address, bits } of ranges) this.#ranges.addSubnet(address, bits, isIPv4(address) ? 'ipv4' : 'ipv6');
  }

  /** `address`: plain, as `plainAddress` writes it. */
  has(address: string): boolean {
    if (isIPv4(address)) return this.#ranges.check(address, 'ipv4');
    return isIPv6(address) && this.#ranges.check(address, 'ipv6');
  }
}
