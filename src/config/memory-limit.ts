/** The memory that this process may use: its cgroup's limit (a container's, a systemd unit's), or the machine's. */
import { totalmem } from 'node:os';
import type { Setting } from './settings.ts';

/** `one` with a default of at most this share of the memory: strangers must not fill a small container. Help texts show the largest default. */
export function ofMemory(share: number, one: Setting<number>): Setting<number> {
  return { ...one, defaultValue: Math.min(one.defaultValue, Math.floor(memoryLimit() * share)) };
}

/** `value` for each of several workers, which share the memory: a default is divided among them, a value that the operator has set stays. */
export function ofEachWorker(one: Setting<number>, share: number, value: number, workers: number): number {
  return value === one.defaultValue ? Math.min(value, Math.floor((memoryLimit() * share) / workers)) : value;
}

function memoryLimit(): number {
  const constrained = process.constrainedMemory();
  // 0: unknown. Without a limit, cgroup v1 says nearly 2^63.
  return constrained > 0 && constrained < totalmem() ? constrained : totalmem();
}
