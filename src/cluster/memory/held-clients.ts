/** A route's held clients in memory: counted for each node, some with a promised slot; oldest first, or in the order of what they ask for. */
import { ChurnMap } from '../../memory/churn-map.ts';
import { type Ask, FairOrder, type FirstClient, type LineTag, PLAIN_ASK, type Place } from '../fair-order.ts';
import { LOOK_CLIENTS_MAX, LOOK_LINES_MAX } from '../limits.ts';

export interface HeldClient {
  readonly node: string;
  readonly id: string;
  /** Directory time. */
  readonly arrival: number;
  readonly ask?: Ask | undefined;
}

interface Promised {
  readonly until: number;
  /** Charged for it; null: nobody asks for anything. */
  readonly line: string | null;
}

/** Ages are rounded to ms, so two arrivals may seem to be out of order by this much. */
const ORDER_TOLERANCE_MS = 1;

export class HeldClients {
  /** In the order of arrival, unless `#disordered`. */
  #clients = new ChurnMap<string, HeldClient>();
  readonly #promised = new Map<HeldClient, Promised>();
  readonly #counts = new Map<string, number>();
  /** Null: nobody asks for anything. */
  #order: FairOrder<HeldClient> | null = null;
  readonly #places = new Map<HeldClient, Place<HeldClient>>();
  #latest = Number.NEGATIVE_INFINITY;
  #disordered = false;

  get size(): number {
    return this.#clients.size;
  }

  get promised(): number {
    return this.#promised.size;
  }

  /** Somebody asks for something. */
  get isFair(): boolean {
    return this.#order !== null;
  }

  /** With or without a promise; undefined when none is held. */
  get oldest(): HeldClient | undefined {
    this.#sort();
    return this.#clients.values().next().value;
  }

  count(node: string): number {
    return this.#counts.get(node) ?? 0;
  }

  /** Clients of the node, and those of all others. */
  seenFrom(node: string): { readonly held: number; readonly heldElsewhere: number } {
    const held = this.count(node);
    return { held, heldElsewhere: this.size - held };
  }

  has(node: string, id: string): boolean {
    return this.#clients.has(key(node, id));
  }

  add(client: HeldClient): void {
    this.#clients.set(key(client.node, client.id), client);
    this.#counts.set(client.node, this.count(client.node) + 1);
    if (client.arrival < this.#latest - ORDER_TOLERANCE_MS) this.#disordered = true;
    else this.#latest = Math.max(this.#latest, client.arrival);
    this.#enter(client);
  }

  delete(node: string, id: string): void {
    const client = this.#clients.get(key(node, id));
    if (client === undefined) return;
    this.#unpromise(client);
    this.#leave(client);
    this.#clients.delete(key(node, id));
    const left = this.count(node) - 1;
    if (left > 0) this.#counts.set(node, left);
    else this.#counts.delete(node);
    if (this.#clients.size === 0) this.#latest = Number.NEGATIVE_INFINITY;
  }

  /** At the end of a transition: nobody is held, so nothing is kept. */
  tidy(): void {
    if (this.#clients.size === 0) this.#order = null;
  }

  deleteNode(node: string): void {
    if (this.count(node) === 0) return;
    for (const client of [...this.#clients.values()]) if (client.node === node) this.delete(node, client.id);
  }

  promise(client: HeldClient, until: number): void {
    const place = this.#places.get(client);
    this.#places.delete(client);
    this.#promised.set(client, { until, line: place === undefined ? null : (this.#order?.promise(place) ?? null) });
  }

  /** Takes promises of up to `count` slots to `node` back, its youngest clients first. */
  unpromise(node: string, count: number): void {
    const youngestFirst = [...this.#promised.keys()].filter((client) => client.node === node).sort((a, b) => b.arrival - a.arrival);
    let left = count;
    for (const client of youngestFirst) {
      if (left <= 0) return;
      left -= costOf(client);
      this.#waitOn(client);
    }
  }

  /** The client's slots are brought together at its node. */
  gathers(node: string, id: string, until: number): void {
    const client = this.#clients.get(key(node, id));
    if (client === undefined) return;
    const promised = this.#promised.get(client);
    if (promised === undefined) this.promise(client, until);
    else this.#promised.set(client, { ...promised, until });
  }

  /** See `StartPlan`. Clients that have paid before they are served gather. */
  get extra(): { readonly heldExtra: number; readonly wantedExtra: number } {
    let [heldExtra, wantedExtra] = [0, 0];
    for (const client of this.#clients.values()) {
      const cost = costOf(client);
      heldExtra += cost - 1;
      if (!this.#promised.has(client)) wantedExtra += cost - 1;
      else if (cost > 1 && client.ask?.unit === 0) wantedExtra += cost;
    }
    return { heldExtra, wantedExtra };
  }

  lapse(now: number): void {
    for (const [client, { until }] of this.#promised) if (until <= now) this.#waitOn(client);
  }

  /** The number of the node's clients without a promise. */
  waiting(node: string): number {
    let promised = 0;
    for (const client of this.#promised.keys()) if (client.node === node) promised++;
    return this.count(node) - promised;
  }

  /** Clients without a promise, oldest first. The caller may stop early, and may make promises meanwhile. */
  *unpromised(): Generator<HeldClient> {
    this.#sort();
    for (const client of this.#clients.values()) if (!this.#promised.has(client)) yield client;
  }

  /** As `unpromised`, in the order of what they ask for. One that gets no promise is left aside. */
  *inOrder(): Generator<HeldClient> {
    const order = this.#order;
    if (order === null) return;
    const aside: Place<HeldClient>[] = [];
    try {
      for (let { first } = order; first !== null; first = order.first) {
        yield first.client;
        if (!this.#places.has(first.client)) continue;
        order.setAside(first);
        aside.push(first);
      }
    } finally {
      order.bringBack(aside);
    }
  }

  /** Clients of the line have got so much service. */
  charge(line: string, units: number): void {
    if (units > 0) this.#order?.charge({ urgency: Number(line[0]), value: line.slice(1) }, units);
  }

  /** For the node: to it those of its clients that have a promise wait like the others. */
  tags(lines: readonly { readonly key: string }[], node: string): LineTag[] {
    const order = this.#order;
    const promised = new Map<string, number>();
    for (const [client, { line }] of this.#promised) {
      if (line !== null && client.node === node) promised.set(line, (promised.get(line) ?? 0) + (client.ask ?? PLAIN_ASK).unit);
    }
    return lines.flatMap(({ key: line }) => {
      const tag = order?.tagOf(line) ?? null;
      if (tag === null || order === null) return [];
      return [{ key: line, tag: tag - (promised.get(line) ?? 0), pace: order.paceOf(Number(line[0])) }];
    });
  }

  /** The youngest of the least urgent clients without a promise, when it is less urgent than this. */
  lessUrgent(urgency: number): HeldClient | null {
    return this.#order?.lessUrgent(urgency)?.client ?? null;
  }

  /** The first of the next clients that is held at such a node. */
  firstRank(at: (node: string) => boolean): FirstClient | null {
    const order = this.#order;
    for (const place of order?.look(LOOK_LINES_MAX, LOOK_CLIENTS_MAX) ?? []) if (at(place.client.node)) return order?.rankOf(place) ?? null;
    return null;
  }

  /** Somebody asks for something: from now on all have an order. */
  orderFairly(): void {
    if (this.#order !== null) return;
    this.#order = new FairOrder<HeldClient>((a, b) => key(a.node, a.id) < key(b.node, b.id));
    this.#sort();
    for (const client of this.#clients.values()) {
      this.#enter(client);
      const promised = this.#promised.get(client);
      if (promised !== undefined) this.promise(client, promised.until);
    }
  }

  #enter(client: HeldClient): void {
    if (this.#order !== null) this.#places.set(client, this.#order.enter(client, client.arrival, client.ask ?? PLAIN_ASK));
  }

  #leave(client: HeldClient): void {
    const place = this.#places.get(client);
    if (place === undefined) return;
    this.#places.delete(client);
    this.#order?.leave(place);
  }

  #unpromise(client: HeldClient): boolean {
    const promised = this.#promised.get(client);
    if (promised === undefined) return false;
    this.#promised.delete(client);
    if (promised.line !== null) this.#order?.discharge(promised.line, (client.ask ?? PLAIN_ASK).unit);
    return true;
  }

  #waitOn(client: HeldClient): void {
    if (this.#unpromise(client)) this.#enter(client);
  }

  #sort(): void {
    if (!this.#disordered) return;
    const ordered = [...this.#clients.values()].sort((a, b) => a.arrival - b.arrival);
    this.#clients = new ChurnMap();
    for (const client of ordered) this.#clients.set(key(client.node, client.id), client);
    this.#disordered = false;
  }
}

export function costOf({ ask }: HeldClient): number {
  return ask?.cost ?? 1;
}

function key(node: string, id: string): string {
  return `${node}:${id}`;
}
