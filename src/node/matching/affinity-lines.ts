import type { Lender } from './lent-slots.ts';
import type { QueueDiscipline } from './queue-discipline.ts';
import type { Visit } from './visit.ts';

/** Clients that wait for the same instance, who came first first. */
export interface AffinityLine {
  readonly visits: Set<Visit>;
  /** When its slots were asked for last, if they lie elsewhere: performance.now(). */
  askedAt: number;
  /** Its linker brings slots here. */
  gathers: Lender | null;
}

/** The clients that wait for each instance. */
export class AffinityLines implements QueueDiscipline<Visit> {
  readonly #lines = new Map<string, AffinityLine>();

  get all(): Iterable<readonly [string, AffinityLine]> {
    return this.#lines;
  }

  entered(visit: Visit): void {
    const instance = visit.affinity?.instance ?? '';
    const line = this.#lines.get(instance);
    if (line !== undefined) line.visits.add(visit);
    else this.#lines.set(instance, { visits: new Set([visit]), askedAt: Number.NEGATIVE_INFINITY, gathers: null });
  }

  left(visit: Visit): void {
    this.#lines.get(visit.affinity?.instance ?? '')?.visits.delete(visit);
  }

  served(): void {}

  next(oldest: Visit | null): Visit | null {
    return oldest;
  }

  ahead(): null {
    return null;
  }

  /** The client that is next for that instance. */
  firstFor(instance: string): Visit | null {
    for (const visit of this.#lines.get(instance)?.visits ?? []) return visit;
    return null;
  }

  /** Those who wait for it; `''`: for the directory, which knows whether it is there. */
  waitingFor(instance: string): readonly Visit[] {
    return [...(this.#lines.get(instance)?.visits ?? [])];
  }

  /** Lets lines go that are empty, and what was asked for them. */
  tidy(): void {
    for (const [instance, { visits, gathers }] of this.#lines) {
      if (visits.size > 0) continue;
      this.#lines.delete(instance);
      // One who takes several slots may gather by now.
      if (gathers?.gathersFor === undefined) gathers?.link.gather(0);
    }
  }
}
