import type { Phase } from './cases.ts';
import type { Best, Figures } from './verdict.ts';

export interface PhaseResult {
  readonly phase: Phase;
  /** By fixed limit. */
  readonly tried: ReadonlyMap<number, Figures>;
  readonly best: Best;
  /** Once it had settled. */
  readonly auto: Figures;
  readonly settledMs: number | null;
  /** When the phase began. */
  readonly fromMs: number;
}

export interface CaseResult {
  readonly name: string;
  readonly phases: readonly PhaseResult[];
  /** When, in ms, and which: as it was with auto. */
  readonly limits: readonly (readonly [number, number])[];
  /** Responses that the application did not give. */
  readonly refused: number;
}
