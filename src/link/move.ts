/** MOVE and MOVE_FAILED: a number of slots, and the node that they are for. */
import { ADDRESS_BYTES_MAX } from '../config/host-port.ts';
import { LinkProtocolError } from '../errors.ts';

export interface Move {
  readonly count: number;
  /** HOST:PORT in ASCII, not checked yet. */
  readonly address: string;
}

/** Addresses are those of a cluster's nodes: more than these are not moved to within the time of a dial. */
const ADDRESSES_MAX = 1_024;

export function writeMove({ count, address }: Move): Buffer {
  const payload = Buffer.allocUnsafe(4 + address.length);
  payload.writeUInt32BE(count, 0);
  payload.write(address, 4, 'latin1');
  return payload;
}

/** @throws LinkProtocolError unless it names at least one slot, and no more than an address has bytes. */
export function readMove(payload: Buffer, frame: 'MOVE' | 'MOVE_FAILED'): Move {
  if (payload.length < 5) throw new LinkProtocolError(`${frame} without an address`);
  if (payload.length > 4 + ADDRESS_BYTES_MAX)
    throw new LinkProtocolError(`${frame} with an address of ${payload.length - 4} bytes, at most ${ADDRESS_BYTES_MAX} are allowed`);
  const count = payload.readUInt32BE(0);
  const address = payload.toString('latin1', 4);
  if (count < 1) throw new LinkProtocolError(`${frame} of no slots`);
  return { count, address };
}

/** Slots that were moved on one link, by address, and may still come back as failed. A success is not reported, so the oldest entries go. */
export class MovedSlots {
  #counts: Map<string, number> | null = null;

  add(count: number, address: string): void {
    this.#counts ??= new Map();
    const before = this.#counts.get(address) ?? 0;
    this.#counts.delete(address);
    this.#counts.set(address, before + count);
    if (this.#counts.size <= ADDRESSES_MAX) return;
    for (const oldest of this.#counts.keys()) {
      this.#counts.delete(oldest);
      break;
    }
  }

  /** False when fewer were moved there. */
  failed(count: number, address: string): boolean {
    const moved = this.#counts?.get(address) ?? 0;
    if (count > moved) return false;
    if (count === moved) this.#counts?.delete(address);
    else this.#counts?.set(address, moved - count);
    return true;
  }
}
