/** Rings within one process. Each message has a turn of its own, as if it came over a wire, so that replies do not starve the event loop. */
import { guard } from '../../boundary.ts';
import type { Bell, BellListener, DemandNotice, Ring } from '../directory.ts';
import type { MemoryDirectory } from './directory.ts';

export class MemoryBell implements Bell {
  readonly #listeners: Map<string, BellListener>;
  #node: string | null = null;

  constructor(directory: MemoryDirectory) {
    this.#listeners = directory.listeners;
  }

  async listen(node: string, listener: BellListener): Promise<void> {
    this.#node = node;
    this.#listeners.set(node, listener);
  }

  async ring(node: string, ring: Ring): Promise<boolean> {
    const listener = this.#listeners.get(node);
    if (listener === undefined) return false;
    const deliver = guard('bell', () => listener.onRing(ring));
    setImmediate(deliver);
    return true;
  }

  demand(notice: DemandNotice): void {
    for (const listener of this.#listeners.values()) {
      const deliver = guard('bell', () => listener.onDemand(notice));
      setImmediate(deliver);
    }
  }

  async close(): Promise<void> {
    if (this.#node !== null) this.#listeners.delete(this.#node);
  }
}
