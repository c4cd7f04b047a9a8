/** Rings within one process. Each message has a turn of its own, as if it came over a wire, so that replies do not starve the event loop. */
import { guard } from '../../boundary.ts';
import type { Bell, BellListener, DemandNotice, Ring } from '../directory.ts';

/** False when nothing listens as `node`. */
export function ringAt(listeners: ReadonlyMap<string, BellListener>, node: string, ring: Ring): boolean {
  const listener = listeners.get(node);
  if (listener === undefined) return false;
  const deliver = guard('bell', () => listener.onRing(ring));
  setImmediate(deliver);
  return true;
}

export class MemoryBell implements Bell {
  readonly #listeners: Map<string, BellListener>;
  #node: string | null = null;

  constructor({ listeners }: { readonly listeners: Map<string, BellListener> }) {
    this.#listeners = listeners;
  }

  async listen(node: string, listener: BellListener): Promise<void> {
    this.#node = node;
    this.#listeners.set(node, listener);
  }

  async ring(node: string, ring: Ring): Promise<boolean> {
    return ringAt(this.#listeners, node, ring);
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
