/**
 * A map and a set for what comes and goes all the time: streams, held clients, connections.
 *
 * V8's own grow by a new table whenever entries and deleted ones fill the old, and the old one keeps pointing at the new. After a major
 * garbage collection the table of that moment is old, dies soon, and nobody looks at it before the next one: until then it keeps its
 * successor alive, that one the next, and each of them all that it held. Everything that passes through is then copied, and kept, as if
 * it were used (measured: 0.3 to 2.5 us for an entry instead of 0.1 to 0.3, and tens of megabytes). These begin anew before that happens.
 */

/** Fewer deleted entries are not worth it. */
const DELETED_MIN = 32;

export class ChurnMap<K, V> {
  #map = new Map<K, V>();
  #deleted = 0;

  get size(): number {
    return this.#map.size;
  }

  has(key: K): boolean {
    return this.#map.has(key);
  }

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  set(key: K, value: V): void {
    this.#map.set(key, value);
  }

  delete(key: K): boolean {
    if (!this.#map.delete(key)) return false;
    if (++this.#deleted > DELETED_MIN && this.#deleted > this.#map.size) {
      this.#map = new Map(this.#map);
      this.#deleted = 0;
    }
    return true;
  }

  clear(): void {
    this.#map = new Map();
    this.#deleted = 0;
  }

  /** Those that are there at the beginning and have not been deleted, or replaced, by the time it is their turn. */
  *values(): Generator<V> {
    for (const [key, value] of this.#map) if (this.#map.get(key) === value) yield value;
  }
}

export class ChurnSet<T> {
  readonly #map = new ChurnMap<T, T>();

  get size(): number {
    return this.#map.size;
  }

  has(member: T): boolean {
    return this.#map.has(member);
  }

  add(member: T): void {
    this.#map.set(member, member);
  }

  delete(member: T): boolean {
    return this.#map.delete(member);
  }

  [Symbol.iterator](): Generator<T> {
    return this.#map.values();
  }
}
