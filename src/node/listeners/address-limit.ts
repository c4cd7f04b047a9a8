import { isIPv6 } from 'node:net';
import { ipv6Words } from '../../config/ip-words.ts';
import type { TrustedProxies } from '../clients/trusted-proxies.ts';

const nothing = (): void => {};

/**
 * How many connections one address may have at this node at once. IPv6 counts the network of 64 bits, which is one
 * customer's (RFC 6177). Trusted proxies bring many clients, and are not counted.
 */
export class AddressLimit {
  readonly #max: number;
  readonly #trusted: TrustedProxies;
  readonly #counts = new Map<string, number>();

  /** `max`: Infinity when there is no such limit. */
  constructor(max: number, trusted: TrustedProxies) {
    this.#max = max;
    this.#trusted = trusted;
  }

  /** `address`: plain. Returns its release, to be called once; null: it has as many as it may have. */
  reserve(address: string): (() => void) | null {
    if (this.#max === Number.POSITIVE_INFINITY || this.#trusted.has(address)) return nothing;
    const who = isIPv6(address) ? ipv6Words(address).slice(0, 2).join() : address;
    const count = this.#counts.get(who) ?? 0;
    if (count >= this.#max) return null;
    this.#counts.set(who, count + 1);
    return () => {
      const left = (this.#counts.get(who) as number) - 1;
      if (left === 0) this.#counts.delete(who);
      else this.#counts.set(who, left);
    };
  }
}
