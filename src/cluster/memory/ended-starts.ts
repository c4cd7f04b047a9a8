/** How starts of a route ended, until somebody takes it: as `ended` in Redis. */
import { ENDED_MAX, ENDED_TAKEN_MAX } from '../start-limits.ts';
import type { EndedStart } from '../starts.ts';

const LOST = 'lost:';

export class EndedStarts {
  readonly #ended = new Map<string, { readonly end: EndedStart; readonly due: number }>();

  get size(): number {
    return this.#ended.size;
  }

  /** `due`: from then on, what is left of it may be cleaned up. */
  add(startId: string, how: EndedStart['how'], due: number): void {
    if (this.#ended.size < ENDED_MAX) this.#ended.set(keyOf({ startId, how }), { end: { startId, how }, due });
  }

  /** As in the script `beat`: a new instance has that start id. Returns whether the start had been given up. */
  comesBack(startId: string): boolean {
    this.#ended.delete(LOST + startId);
    const how = this.#ended.get(startId)?.end.how;
    return how !== undefined && how !== 'linked' && this.#ended.delete(startId);
  }

  due(now: number): EndedStart[] {
    return [...this.#ended.values()]
      .filter(({ due }) => due <= now)
      .slice(0, ENDED_TAKEN_MAX)
      .map(({ end }) => end);
  }

  take(ended: readonly EndedStart[]): EndedStart[] {
    return ended.filter((end) => this.#ended.delete(keyOf(end)));
  }
}

function keyOf({ startId, how }: EndedStart): string {
  return how === 'lost' ? LOST + startId : startId;
}
