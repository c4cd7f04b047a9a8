/** A route's held clients in memory: oldest first, counted for each node, some with a promised slot. */
import { ChurnMap } from '../../memory/churn-map.ts';

export interface HeldClient {
  readonly node: string;
  readonly id: string;
  /** Directory time. */
  readonly arrival: number;
}

/** Ages are rounded to ms, so two arrivals may seem to be out of order by this much. */
const ORDER_TOLERANCE_MS = 1;

export class HeldClients {
  /** In the order of arrival, unless `#disordered`. */
  #clients = new ChurnMap<string, HeldClient>();
  readonly #promised = new Map<HeldClient, number>();
  readonly #counts = new Map<string, number>();
  #latest = Number.NEGATIVE_INFINITY;
  #disordered = false;

  get size(): number {
    return this.#clients.size;
  }

  get promised(): number {
    return this.#promised.size;
  }

  /** With or without a promise; undefined when none is held. */
  get oldest(): HeldClient | undefined {
    this.#order();
    return this.#clients.values().next().value;
  }

  count(node: string): number {
    return this.#counts.get(node) ?? 0;
  }

  has(node: string, id: string): boolean {
    return this.#clients.has(key(node, id));
  }

  add(client: HeldClient): void {
    this.#clients.set(key(client.node, client.id), client);
    this.#counts.set(client.node, this.count(client.node) + 1);
    if (client.arrival < this.#latest - ORDER_TOLERANCE_MS) this.#disordered = true;
    else this.#latest = Math.max(this.#latest, client.arrival);
  }

  delete(node: string, id: string): void {
    const client = this.#clients.get(key(node, id));
    if (client === undefined) return;
    this.#clients.delete(key(node, id));
    this.#promised.delete(client);
    const left = this.count(node) - 1;
    if (left > 0) this.#counts.set(node, left);
    else this.#counts.delete(node);
    if (this.#clients.size === 0) this.#latest = Number.NEGATIVE_INFINITY;
  }

  deleteNode(node: string): void {
    if (this.count(node) === 0) return;
    for (const client of [...this.#clients.values()]) if (client.node === node) this.delete(node, client.id);
  }

  promise(client: HeldClient, until: number): void {
    this.#promised.set(client, until);
  }

  /** Takes back up to `count` promises to `node`, its youngest clients first. */
  unpromise(node: string, count: number): void {
    const youngestFirst = [...this.#promised.keys()].filter((client) => client.node === node).sort((a, b) => b.arrival - a.arrival);
    for (const client of youngestFirst.slice(0, count)) this.#promised.delete(client);
  }

  lapse(now: number): void {
    for (const [client, until] of this.#promised) if (until <= now) this.#promised.delete(client);
  }

  /** The number of the node's clients without a promise. */
  waiting(node: string): number {
    let promised = 0;
    for (const client of this.#promised.keys()) if (client.node === node) promised++;
    return this.count(node) - promised;
  }

  /** Clients without a promise, oldest first. The caller may stop early, and may make promises meanwhile. */
  *unpromised(): Generator<HeldClient> {
    this.#order();
    for (const client of this.#clients.values()) if (!this.#promised.has(client)) yield client;
  }

  #order(): void {
    if (!this.#disordered) return;
    const ordered = [...this.#clients.values()].sort((a, b) => a.arrival - b.arrival);
    this.#clients = new ChurnMap();
    for (const client of ordered) this.#clients.set(key(client.node, client.id), client);
    this.#disordered = false;
  }
}

function key(node: string, id: string): string {
  return `${node}:${id}`;
}
