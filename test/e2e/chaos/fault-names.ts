import type { Random } from './random.ts';

/** How often each fault is chosen, beside the others. */
export const WEIGHTS = {
  'kill -9 a node': 3,
  'restart a node': 3,
  'freeze a node': 2,
  'half-open links of a node': 2,
  'kill -9 a linker': 4,
  'drain a linker': 4,
  'freeze a linker': 2,
  'kill -9 a scaler': 2,
  'restart a scaler': 1,
  'freeze a scaler': 1,
  'freeze Redis': 1,
  'restart Redis empty': 1,
  'empty Redis': 1,
  'break connections to Redis': 2,
  'pause clients of Redis': 1,
  'slow Redis': 1,
  'silent way to Redis': 1,
  'lose messages of Redis': 2,
  'full Redis': 1,
} as const;

export type FaultName = keyof typeof WEIGHTS;

export function isFaultName(name: string): name is FaultName {
  return name in WEIGHTS;
}

export function chooseFault(random: Random, only: readonly FaultName[] | undefined): FaultName {
  if (only === undefined) return random.weighted<FaultName>(WEIGHTS);
  return random.pick(only);
}
