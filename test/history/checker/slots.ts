/** Who is held where, and which slots are in use: as nodes, linkers and applications say it. */
import type { Line } from './line.ts';

export interface HeldClient {
  readonly line: Line;
  readonly id: string;
  readonly node: string;
  readonly route: string;
  readonly since: number;
  /** It had a slot before, and lost it. */
  readonly again: boolean;
}

export interface KnownInstance {
  readonly instance: string;
  readonly startId: string;
  readonly route: string;
  readonly line: Line;
  limit: number;
  /** Limits that were asked for and may hold. */
  asked: number[];
  lends: boolean;
  /** Requests that have a slot of it, and their nodes. */
  readonly open: Map<string, string>;
  /** How many have had one so far. */
  opened: number;
}

export class SlotBook {
  readonly held = new Map<string, HeldClient>();
  /** By instance id. */
  readonly instances = new Map<string, KnownInstance>();
  /** Start id → instance id. */
  readonly #ids = new Map<string, string>();
  readonly #openAt = new Map<string, KnownInstance>();
  /** Linkers may say that they lend before their application says its name. */
  readonly #lending = new Set<string>();

  take(line: Line): void {
    const { event, by } = line;
    switch (event.e) {
      case 'process':
        // A process of this name is new: what the one before had is over.
        if (event.role === 'node') this.nodeGone(event.name);
        return;
      case 'up':
        this.#up(line, event.instance, event.startId, event.route, event.limit);
        return;
      case 'asks':
        this.#of(by.name)?.asked.push(event.limit);
        return;
      case 'agreed':
        this.#agreed(this.#of(by.name), event.limit);
        return;
      case 'lends':
        this.#lending.add(event.instance);
        this.#lends(event.instance, true);
        return;
      case 'withholds':
      case 'leaves':
        this.#lends(event.instance, false);
        return;
      case 'gone':
        this.#lending.delete(event.instance);
        this.instances.delete(event.instance);
        this.#ids.delete(by.name);
        return;
      case 'held': {
        const again = this.#closed(event.id);
        this.held.set(event.id, { line, id: event.id, node: by.name, route: event.route, since: event.t, again });
        return;
      }
      case 'opened':
        this.#opened(event.id, event.instance, by.name);
        return;
      case 'over':
        this.held.delete(event.id);
        this.#closed(event.id);
        return;
      case 'fault':
        if (event.does === 'dies') this.#dies(event.of ?? '');
    }
  }

  /** The least that may be idle of it. */
  idle({ limit, asked, open, lends }: KnownInstance): number {
    return lends ? Math.min(limit, ...asked) - open.size : 0;
  }

  nodeGone(node: string): void {
    for (const client of this.held.values()) if (client.node === node) this.held.delete(client.id);
    for (const { open } of this.instances.values()) for (const [id, at] of open) if (at === node) open.delete(id);
  }

  #up(line: Line, instance: string, startId: string, route: string, limit: number): void {
    this.#ids.set(startId, instance);
    const lends = this.#lending.has(instance);
    this.instances.set(instance, { instance, startId, route, line, limit, asked: [], lends, open: new Map(), opened: 0 });
  }

  #of(startId: string): KnownInstance | undefined {
    return this.instances.get(this.#ids.get(startId) ?? '');
  }

  #agreed(one: KnownInstance | undefined, limit: number): void {
    if (one === undefined) return;
    one.asked = one.asked.slice(one.asked.indexOf(limit) + 1);
    one.limit = limit;
  }

  #lends(instance: string, yes: boolean): void {
    const one = this.instances.get(instance);
    if (one !== undefined) one.lends = yes;
    if (!yes) this.#lending.delete(instance);
  }

  #opened(id: string, instance: string, node: string): void {
    this.held.delete(id);
    this.#closed(id);
    const one = this.instances.get(instance);
    if (one === undefined) return;
    one.open.set(id, node);
    one.opened++;
    this.#openAt.set(id, one);
  }

  /** It has no slot any more. Returns whether it had one. */
  #closed(id: string): boolean {
    const one = this.#openAt.get(id);
    one?.open.delete(id);
    return this.#openAt.delete(id);
  }

  #dies(of: string): void {
    const [role, name = ''] = of.split(':');
    if (role === 'node') this.nodeGone(name);
    else if (role === 'linker') this.instances.delete(this.#ids.get(name) ?? '');
  }
}
