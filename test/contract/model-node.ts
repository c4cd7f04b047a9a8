/** A node's matching in a few lines, with slots as plain numbers that can't be copied: enough to see whether the cluster loses or doubles any. */
import type { ClusterListener, Peer } from '../../src/cluster/cluster.ts';
import type { TestMember } from './world.ts';

interface ModelClient {
  readonly id: string;
  readonly since: number;
  readonly served: () => void;
}

export class ModelNode {
  readonly member: TestMember;
  readonly #route: string;
  readonly #nodes: Map<string, ModelNode>;
  readonly #clients: ModelClient[] = [];
  #idle = 0;
  #next = 0;

  /** `nodes`: who can be reached; it enters itself. */
  constructor(member: TestMember, route: string, nodes: Map<string, ModelNode>) {
    this.member = member;
    this.#route = route;
    this.#nodes = nodes;
    nodes.set(member.peer.id, this);
  }

  get held(): number {
    return this.#clients.length;
  }

  get idle(): number {
    return this.#idle;
  }

  listener(): ClusterListener {
    return {
      ...this.member.listener(),
      onWant: (_route, count, asker) => this.#move(count, asker),
      onRematch: () => this.#match(),
    };
  }

  /** A client comes. `served` resolves with how long it waited; `leave` takes it away if it was not served. */
  visit(): { served: Promise<number>; leave: () => void } {
    const { promise, resolve } = Promise.withResolvers<number>();
    const since = performance.now();
    const client = { id: `c${this.#next++}`, since, served: () => resolve(performance.now() - since) };
    this.#clients.push(client);
    this.member.cluster.hold(this.#route, client.id, 0, 100_000);
    this.#match();
    return { served: promise, leave: () => this.#remove(client) };
  }

  /** Slots become idle here: by a new instance, a grant or a client that is done. */
  grant(count: number): void {
    this.#idle += count;
    this.#match();
    this.member.cluster.idle(this.#route, this.#idle);
  }

  #match(): void {
    const before = this.#idle;
    for (let [oldest] = this.#clients; oldest !== undefined && this.#idle > 0; [oldest] = this.#clients) {
      if (this.member.cluster.olderElsewhere(this.#route, performance.now() - oldest.since)) break;
      this.#idle--;
      this.#remove(oldest);
      oldest.served();
    }
    if (this.#idle !== before) this.member.cluster.idle(this.#route, this.#idle);
  }

  #remove(client: ModelClient): void {
    const at = this.#clients.indexOf(client);
    if (at === -1) return;
    this.#clients.splice(at, 1);
    this.member.cluster.unhold(this.#route, client.id);
  }

  #move(count: number, asker: Peer): void {
    const target = this.#nodes.get(asker.id);
    const moved = target === undefined ? 0 : Math.min(count, this.#idle);
    this.#idle -= moved;
    if (moved > 0) {
      this.member.cluster.idle(this.#route, this.#idle);
      setImmediate(() => target?.grant(moved));
    }
    if (moved < count) this.member.cluster.short(this.#route, count - moved, asker);
  }
}
