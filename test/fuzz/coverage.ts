/** What V8 has seen run of some sources since it was asked last. */
import { Session } from 'node:inspector/promises';

export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  async start(): Promise<void> {
    this.#session.connect();
    await this.#session.post('Profiler.enable');
    await this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Blocks that ran since the last call and never before, as far as was asked. */
  async fresh(sources: readonly string[]): Promise<string[]> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    const blocks: string[] = [];
    for (const { url, functions } of result) {
      if (!sources.some((part) => url.includes(part))) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          const block = `${url}:${startOffset}-${endOffset}`;
          if (count > 0 && !this.#seen.has(block)) blocks.push(block);
        }
      }
    }
    return blocks;
  }

  note(blocks: readonly string[]): void {
    for (const block of blocks) this.#seen.add(block);
  }

  get blocks(): number {
    return this.#seen.size;
  }
}
