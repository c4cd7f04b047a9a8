import type { Comparison } from '../rounds.ts';
import type { Surroundings } from '../surroundings.ts';

export interface Extent {
  readonly rounds: number;
  /** How long the load of a round lasts. */
  readonly seconds: number;
  /** A look, not a measurement: fewer cases and fewer of everything. */
  readonly quick: boolean;
}

/** One number that is compared with nothing in this run. */
export interface Figure {
  readonly suite: string;
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

export type Result = Comparison | Figure;

/** Gives each result to `found` as soon as it is there. */
export type Suite = (surroundings: Surroundings, extent: Extent, found: (result: Result) => void) => Promise<void>;
