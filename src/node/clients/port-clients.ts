import type { PortClient } from './port-client.ts';

/** The clients of a port, in no order. One comes and goes without regard of how many there are, and looking at all of them makes nothing. */
export class PortClients {
  readonly #clients: PortClient[] = [];

  get size(): number {
    return this.#clients.length;
  }

  /** It is among no port's clients yet. */
  add(client: PortClient): void {
    client.place = this.#clients.push(client) - 1;
  }

  /** Returns whether it was there. The last one takes its place. */
  delete(client: PortClient): boolean {
    const { place } = client;
    const last = this.#clients.at(-1);
    if (place === null || last === undefined) return false;
    this.#clients[place] = last;
    last.place = place;
    this.#clients.pop();
    client.place = null;
    return true;
  }

  /** Those who are there now. */
  all(): PortClient[] {
    return [...this.#clients];
  }

  /**
   * Calls `visit` for some of them, and returns where to go on; null: that was the last. A client that takes the place of one that goes between two
   * calls may be left out.
   */
  visitSome(from: number, count: number, visit: (client: PortClient) => void): number | null {
    const until = Math.min(from + count, this.#clients.length);
    for (let place = from; place < until; place++) visit(this.#clients[place] as PortClient);
    return until < this.#clients.length ? until : null;
  }
}
