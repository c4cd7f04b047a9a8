/** A route's instances in memory. */
import type { InstanceInfo, InstanceSnapshot } from '../cluster.ts';

interface Linked {
  info: InstanceInfo;
  readonly node: string;
  /** It has been ready. */
  readonly served: boolean;
}

export class LinkedInstances {
  readonly #instances = new Map<string, Linked>();

  get size(): number {
    return this.#instances.size;
  }

  homeOf(id: string): string | null {
    return this.#instances.get(id)?.node ?? null;
  }

  stateOf(id: string): InstanceInfo['state'] | null {
    return this.#instances.get(id)?.info.state ?? null;
  }

  /** It has been ready, whatever it says now. */
  served(id: string): boolean {
    return this.#instances.get(id)?.served === true;
  }

  set(node: string, info: InstanceInfo): void {
    // Draining is final: a beat that was on its way when the instance was allowed to leave must not count it as ready again.
    const draining = this.#instances.get(info.id)?.info.state === 'draining';
    const served = info.state === 'ready' || this.served(info.id);
    this.#instances.set(info.id, { node, served, info: draining ? { ...info, state: 'draining' } : info });
  }

  /** False when it was never ready and did not say that it leaves. */
  delete(id: string): boolean {
    const instance = this.#instances.get(id);
    this.#instances.delete(id);
    return instance === undefined || instance.served || instance.info.state !== 'starting';
  }

  deleteNode(node: string): void {
    for (const [id, instance] of this.#instances) if (instance.node === node) this.#instances.delete(id);
  }

  retire(node: string, id: string, minInstances: number): boolean {
    const instance = this.#instances.get(id);
    if (instance === undefined || instance.node !== node) return false;
    if (instance.info.state === 'draining') return true;
    const remaining = this.count('ready') - (instance.info.state === 'ready' ? 1 : 0);
    if (remaining < minInstances) return false;
    instance.info = { ...instance.info, state: 'draining' };
    return true;
  }

  count(state: InstanceInfo['state']): number {
    return this.#infos().filter((info) => info.state === state).length;
  }

  countReady(matches: (seq: number) => boolean): number {
    return this.#infos().filter(({ state, seq }) => state === 'ready' && matches(seq)).length;
  }

  /** Of those that do not leave. */
  get seqs(): number[] {
    return this.#infos().flatMap(({ state, seq }) => (state === 'draining' ? [] : [seq]));
  }

  get slots(): number {
    return this.#infos().reduce((sum, info) => sum + (info.state === 'ready' ? info.concurrency : 0), 0);
  }

  get newest(): { readonly newest: string | null; readonly newestNode: string | null } {
    const ready = [...this.#instances.values()].filter(({ info }) => info.state === 'ready');
    const newest = ready.sort(({ info: a }, { info: b }) => b.seq - a.seq || (b.id > a.id ? 1 : -1))[0];
    return { newest: newest?.info.id ?? null, newestNode: newest?.node ?? null };
  }

  snapshot(): InstanceSnapshot[] {
    const list = [...this.#instances.values()].map(({ info, node }): InstanceSnapshot => {
      const { id, seq, concurrency, active, state, version } = info;
      return { id, seq, concurrency, active, node, state, ...(version === undefined ? {} : { version }) };
    });
    return list.sort((a, b) => b.seq - a.seq);
  }

  #infos(): InstanceInfo[] {
    return [...this.#instances.values()].map(({ info }) => info);
  }
}
