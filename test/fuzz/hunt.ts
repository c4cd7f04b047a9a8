/** One target and what is known of it: inputs that run something new, and those that break something. */
import assert from 'node:assert';
import { readInputs, writeInputs } from './corpus.ts';
import type { Coverage } from './coverage.ts';
import type { InputFile } from './current-input.ts';
import { throwEscaped } from './escaped.ts';
import { below, mutate, type Random } from './mutate.ts';
import type { Target } from './target.ts';

/** Inputs between two looks at the coverage. */
const BATCH = 500;
const SOCKETS_BATCH = 50;
/** Longer inputs are slower: they join the corpus only when they are worth it. */
const CORPUS_BYTES_MAX = 2_048;
const CRASHES_MAX = 20;
/** Processor time that an input of at most INPUT_BYTES_MAX may cost. Only a loop that grows with more than its input takes so long. */
const INPUT_CPU_MS_MAX = 2_000;
/** Attempts to shorten an input that broke something. */
const CUTS_MAX = 3_000;
const SOCKETS_CUTS_MAX = 80;

export class Hunt {
  readonly target: Target;
  readonly corpus: Buffer[] = [];
  readonly crashes: Buffer[];
  readonly #known = new Set<string>();
  readonly #random: Random;
  readonly #file: InputFile;
  runs = 0;
  found = 0;
  broke = 0;
  ms = 0;

  constructor(target: Target, random: Random, file: InputFile) {
    this.target = target;
    this.#random = random;
    this.#file = file;
    this.crashes = readInputs('crashes', target.name);
  }

  async begin(coverage: Coverage): Promise<void> {
    const inputs = [...this.target.seeds, ...readInputs('corpus', this.target.name)];
    for (const input of inputs) await this.#try(input);
    coverage.note(await coverage.fresh(this.target.sources));
    this.corpus.push(...inputs);
  }

  /** Until `turnEnds`, on the monotonic clock. */
  async turn(coverage: Coverage, turnEnds: number): Promise<void> {
    const began = performance.now();
    const { words, sources, lines, pace } = this.target;
    // What other targets have run meanwhile is not this one's merit.
    await coverage.fresh([]);
    while (performance.now() < turnEnds && this.broke < CRASHES_MAX) {
      const size = pace === 'sockets' ? SOCKETS_BATCH : BATCH;
      const batch = Array.from({ length: size }, () => mutate(this.#any(), this.#any(), words, this.#random, lines));
      for (const input of batch) await this.#try(input);
      if ((await coverage.fresh(sources)).length > 0) await this.#learn(batch, coverage);
      // Timers and closed links of this batch.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.ms += performance.now() - began;
  }

  /** Which of them it was. */
  async #learn(batch: readonly Buffer[], coverage: Coverage): Promise<void> {
    for (const input of batch) {
      await this.#try(input);
      const blocks = await coverage.fresh(this.target.sources);
      coverage.note(blocks);
      if (blocks.length > 0 && input.length <= CORPUS_BYTES_MAX) {
        this.corpus.push(Buffer.from(input));
        this.found++;
      }
    }
  }

  #any(): Buffer {
    return this.corpus[below(this.corpus.length, this.#random)] as Buffer;
  }

  async #try(input: Buffer): Promise<void> {
    this.runs++;
    const what = await this.#failureOf(input);
    if (what === null || this.#known.has(what)) return;
    this.#known.add(what);
    const shortest = await this.#shortened(input, what);
    console.error(`${this.target.name}: ${what}\n  ${JSON.stringify(shortest.toString('latin1'))}`);
    this.broke++;
    this.crashes.push(shortest);
    writeInputs('crashes', this.target.name, this.crashes);
  }

  /** Where it broke and how, without the input's own words; null: it held. */
  async #failureOf(input: Buffer): Promise<string | null> {
    this.#file.note(this.target.name, input);
    const before = process.cpuUsage();
    try {
      await this.target.run(input);
      throwEscaped();
      const { user, system } = process.cpuUsage(before);
      assert((user + system) / 1_000 <= INPUT_CPU_MS_MAX, `more than ${INPUT_CPU_MS_MAX} ms of a processor for one input`);
      return null;
    } catch (error) {
      await this.target.restart?.();
      try {
        throwEscaped();
      } catch {
        // What followed from the first one.
      }
      return wordsOf(error);
    }
  }

  /** The same failure with as few bytes as cutting finds. */
  async #shortened(input: Buffer, what: string): Promise<Buffer> {
    let best = input;
    let cuts = this.target.pace === 'sockets' ? SOCKETS_CUTS_MAX : CUTS_MAX;
    const keep = async (less: Buffer): Promise<boolean> => {
      if (cuts-- <= 0 || (await this.#failureOf(less)) !== what) return false;
      best = less;
      return true;
    };
    if (this.target.lines === true) await shortenLines(input, keep);
    for (let size = best.length >> 1; size >= 1 && cuts > 0; size >>= 1) {
      for (let at = 0; at < best.length && cuts > 0; ) {
        if (!(await keep(Buffer.concat([best.subarray(0, at), best.subarray(at + size)])))) at += size;
      }
    }
    return best;
  }
}

async function shortenLines(input: Buffer, keep: (less: Buffer) => Promise<boolean>): Promise<void> {
  const lines = input.toString('latin1').split('\n');
  for (let size = lines.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < lines.length; ) {
      const less = [...lines.slice(0, at), ...lines.slice(at + size)];
      if (await keep(Buffer.from(less.join('\n'), 'latin1'))) lines.splice(at, size);
      else at += size;
    }
  }
}

function wordsOf(error: unknown): string {
  const { name, message, stack = '' } = error instanceof Error ? error : new Error(String(error));
  const places = stack.split('\n').filter((line) => line.includes('/src/') || line.includes('/test/fuzz/targets/'));
  const words = message.split('\n', 1)[0]?.slice(0, 80).replace(/\d+/g, 'N');
  return `${name}: ${words}\n  ${places.slice(0, 3).join('\n  ')}`;
}
