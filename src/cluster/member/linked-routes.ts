/** Answers "is an instance linked by this name?". Strangers choose the names, so the number of questions is limited. */
import { BoundedMap } from '../../memory/bounded-map.ts';
import { LINKED_LOOKUPS_PER_SECOND_MAX, LINKED_NAMES_MAX, LINKED_NO_MS, LINKED_STALE_MS, LINKED_YES_MS } from '../limits.ts';

interface Answer {
  readonly linked: boolean;
  readonly at: number;
}

export class LinkedRoutes {
  readonly #answers = new BoundedMap<string, Answer>(LINKED_NAMES_MAX);
  readonly #asked = new Map<string, Promise<boolean>>();
  readonly #ask: (name: string) => Promise<boolean>;
  readonly #now: () => number;
  #windowBegan = Number.NEGATIVE_INFINITY;
  #lookups = 0;

  /** `ask` looks one name up in the directory and may reject; `now` is monotonic ms. */
  constructor(ask: (name: string) => Promise<boolean>, now: () => number) {
    this.#ask = ask;
    this.#now = now;
  }

  /** The first of `names` by which an instance is linked; null if none is, or if it is not known now. */
  async first(names: readonly string[]): Promise<string | null> {
    const replies = names.map((name) => this.#linked(name));
    for (const [i, reply] of replies.entries()) {
      if (await reply) return names[i] ?? null;
    }
    return null;
  }

  #linked(name: string): boolean | Promise<boolean> {
    const known = this.#answers.get(name);
    const ageMs = known === undefined ? Number.POSITIVE_INFINITY : this.#now() - known.at;
    if (known !== undefined && ageMs < (known.linked ? LINKED_YES_MS : LINKED_NO_MS)) return known.linked;
    const asked = this.#asked.get(name);
    if (asked !== undefined) return asked;
    const stale = known?.linked === true && ageMs < LINKED_STALE_MS;
    if (!this.#mayAsk()) return stale;
    const reply = this.#ask(name)
      .then((linked) => {
        this.#answers.set(name, { linked, at: this.#now() });
        return linked;
      })
      .catch(() => stale)
      .finally(() => this.#asked.delete(name));
    this.#asked.set(name, reply);
    return reply;
  }

  #mayAsk(): boolean {
    const now = this.#now();
    if (now - this.#windowBegan >= 1_000) {
      this.#windowBegan = now;
      this.#lookups = 0;
    }
    return this.#lookups++ < LINKED_LOOKUPS_PER_SECOND_MAX;
  }
}
