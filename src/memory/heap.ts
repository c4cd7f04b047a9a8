/** A binary heap whose members can leave from the middle. Each step costs the logarithm of its size. */
export class Heap<T> {
  readonly #members: T[] = [];
  readonly #before: (a: T, b: T) => boolean;
  readonly #place: (member: T, at: number) => void;
  readonly #placeOf: (member: T) => number;

  /** `before`: a strict order. A member keeps its place in the heap for it: `place` writes it, `placeOf` reads it; -1: it is in none. */
  constructor(before: (a: T, b: T) => boolean, place: (member: T, at: number) => void, placeOf: (member: T) => number) {
    this.#before = before;
    this.#place = place;
    this.#placeOf = placeOf;
  }

  get size(): number {
    return this.#members.length;
  }

  /** The member before which there is none; it stays. */
  get first(): T | undefined {
    return this.#members[0];
  }

  /** In no order. */
  all(): Iterable<T> {
    return this.#members;
  }

  add(member: T): void {
    this.#members.push(member);
    this.#up(this.#members.length - 1, member);
  }

  remove(member: T): void {
    const at = this.#placeOf(member);
    this.#place(member, -1);
    const last = this.#members.pop() as T;
    if (last !== member) this.#settle(at, last);
  }

  /** The member's place in the order is another one. */
  moved(member: T): void {
    this.#settle(this.#placeOf(member), member);
  }

  #settle(at: number, member: T): void {
    const above = this.#members[(at - 1) >> 1];
    if (at > 0 && above !== undefined && this.#before(member, above)) this.#up(at, member);
    else this.#down(at, member);
  }

  #up(from: number, member: T): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#members[parent] as T;
      if (!this.#before(member, above)) break;
      this.#put(at, above);
      at = parent;
    }
    this.#put(at, member);
  }

  #down(from: number, member: T): void {
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#members.length) break;
      const other = this.#members[child + 1];
      if (other !== undefined && this.#before(other, this.#members[child] as T)) child++;
      const below = this.#members[child] as T;
      if (!this.#before(below, member)) break;
      this.#put(at, below);
      at = child;
    }
    this.#put(at, member);
  }

  #put(at: number, member: T): void {
    this.#members[at] = member;
    this.#place(member, at);
  }
}
