/** The lines of clients that are held at this node for one route, and the service that the directory does not know of yet. */
import type { LineService } from '../directory.ts';
import { LINES_MAX } from '../fair-order.ts';
import { LINES_PER_CALL_MAX } from '../limits.ts';

export class LineRegister {
  /** Line → its clients. */
  readonly #clients = new Map<string, number>();
  /** Line → units; those of the call that has no reply yet are not in it. */
  #served = new Map<string, number>();

  /** Service is to be told although nobody comes or goes. */
  get pending(): boolean {
    return this.#served.size > 0;
  }

  /** Returns whether nobody else is in the line here. */
  enter(line: string): boolean {
    const others = this.#clients.get(line) ?? 0;
    this.#clients.set(line, others + 1);
    return others === 0;
  }

  leave(line: string): void {
    const left = (this.#clients.get(line) ?? 0) - 1;
    if (left > 0) this.#clients.set(line, left);
    else this.#clients.delete(line);
  }

  charge(line: string, units: number): void {
    const before = this.#served.get(line);
    // The directory knows no more lines either.
    if (before !== undefined || this.#served.size < LINES_MAX) this.#served.set(line, (before ?? 0) + units);
  }

  /** Changes that are not told yet. */
  untold(line: string): number {
    return this.#served.get(line) ?? 0;
  }

  /** The service that is to be told, and lines whose tags are to be heard: all in their turn, where there are many. */
  take(): LineService[] {
    const served = this.#served;
    this.#served = new Map();
    const lines = [...served].map(([key, units]): LineService => ({ key, units }));
    const asked = Math.min(this.#clients.size, LINES_PER_CALL_MAX);
    for (let i = 0; i < asked; i++) {
      const [key, clients] = this.#clients.entries().next().value as [string, number];
      this.#clients.delete(key);
      this.#clients.set(key, clients);
      if (!served.has(key)) lines.push({ key, units: 0 });
    }
    return lines;
  }

  /** It is not known what the directory has heard: what was not told before is not told any more. */
  forget(): void {
    this.#served.clear();
  }
}
