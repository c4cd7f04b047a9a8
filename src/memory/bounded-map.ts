/** A map of at most `max` entries. Beyond it the entry that was set longest ago goes, and `dropped` is told its value. */
export class BoundedMap<K, V> extends Map<K, V> {
  readonly #max: number;
  readonly #dropped: (value: V) => void;

  constructor(max: number, dropped: (value: V) => void = () => {}) {
    super();
    this.#max = max;
    this.#dropped = dropped;
  }

  override set(key: K, value: V): this {
    this.delete(key);
    if (this.size >= this.#max) {
      for (const [oldest, last] of this) {
        this.delete(oldest);
        this.#dropped(last);
        break;
      }
    }
    return super.set(key, value);
  }
}
