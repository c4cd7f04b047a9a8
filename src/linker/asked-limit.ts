import type { SearchedLimit } from '../config/kinds.ts';
import { type AutoRange, firstLimit } from './auto-search.ts';
import { CONCURRENCY_MAX_DEFAULT } from './linker-options.ts';

/** The meaning of `--concurrency` and `--concurrency-max` for a linker. */
export interface AskedLimit {
  /** The limit at the start. */
  readonly concurrency: number;
  readonly concurrencyMax: number;
  /** The linker searches for it. */
  readonly auto?: AutoRange;
}

/** `affordable`: how many of so many slots this process can serve. */
export function askedLimit(
  said: number | SearchedLimit,
  most: number | undefined,
  affordable: (slots: number) => number = (slots) => slots,
): AskedLimit {
  const highest = typeof said === 'number' ? said : (said.most ?? 1);
  const concurrencyMax = affordable(most ?? Math.max(CONCURRENCY_MAX_DEFAULT, highest));
  if (typeof said === 'number') return { concurrency: affordable(said), concurrencyMax };
  const auto = { least: Math.min(said.least, concurrencyMax), most: Math.min(said.most ?? concurrencyMax, concurrencyMax) };
  return { concurrency: firstLimit(auto), concurrencyMax, auto };
}
