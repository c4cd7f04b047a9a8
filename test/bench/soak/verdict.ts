/** Whether something grows: a slope for each quantity, and a table of them. */
import { leastSquares } from '../slope.ts';
import type { Sample } from './observer.ts';

/** The first part is left out: code is compiled, pools fill, the heap finds its size. */
const WARM_UP_SHARE = 1 / 4;
/** A slope beyond so many standard errors is no accident. */
const ERRORS = 3;

/**
 * A growth per request that could hide in the noise, and would matter: bytes, and things in a hundred thousand requests. Resident memory is
 * in pages and in what the allocator keeps, and so the noisiest.
 */
const MATTERS = { resident: 8, bytes: 1, things: 1e-5 } as const;
const THINGS = /(fds|metrics|keys|clients)$/;

/** `flat`: zero lies within the noise, and whatever else does would not matter. `noisy`: it can't be told. */
export type Verdict = 'flat' | 'grows' | 'noisy';

export interface Growth {
  readonly quantity: string;
  readonly unit: 'bytes' | '';
  readonly first: number;
  readonly last: number;
  readonly perMillionRequests: number;
  readonly error: number;
  /** KB (1,000 bytes), or how many. */
  readonly perHour: number;
  readonly verdict: Verdict;
}

export function growths(samples: readonly Sample[]): Growth[] {
  const counted = samples.slice(Math.ceil(samples.length * WARM_UP_SHARE));
  const [first, last] = [counted[0], counted.at(-1)];
  if (first === undefined || last === undefined) return [];
  const millionsPerHour = ((last.requests - first.requests) / 1e6 / Math.max(1e-9, last.minutes - first.minutes)) * 60;
  return Object.keys(last.values).map((quantity) => {
    const of = ({ values }: Sample): number => values[quantity] as number;
    const { slope, error } = leastSquares(counted.map((sample) => [sample.requests / 1e6, of(sample)]));
    const things = THINGS.test(quantity);
    const matters = things ? MATTERS.things : quantity.endsWith('resident') ? MATTERS.resident : MATTERS.bytes;
    return {
      quantity,
      unit: things ? '' : 'bytes',
      first: of(first),
      last: of(last),
      perMillionRequests: slope,
      error,
      perHour: (slope * millionsPerHour) / (things ? 1 : 1_000),
      verdict: judge(slope, error, matters * 1e6),
    };
  });
}

export function judge(slope: number, error: number, matters: number): Verdict {
  if (slope > ERRORS * error) return 'grows';
  return slope + ERRORS * error > matters ? 'noisy' : 'flat';
}

export function growthTable(all: readonly Growth[]): string {
  const rows = all.map(({ quantity, unit, first, last, perMillionRequests, error, perHour, verdict }) => {
    const shown = (value: number): string => (unit === 'bytes' ? `${(value / 1e6).toFixed(2)} MB` : String(value));
    const slope = `${digits(perMillionRequests)} ± ${digits(error)}`;
    return `| ${quantity} | ${shown(first)} | ${shown(last)} | ${slope} | ${digits(perHour)}${unit === 'bytes' ? ' KB' : ''} | ${verdict} |`;
  });
  const head = '| | after the warm-up | at the end | bytes (or how many) in a million requests | in an hour | |';
  return [head, '| --- | --- | --- | --- | --- | --- |', ...rows].join('\n');
}

function digits(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: Math.abs(value) < 10 ? 2 : 0 });
}
