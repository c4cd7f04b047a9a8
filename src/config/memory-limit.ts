/** The memory that this process may use: its cgroup's limit (a container's, a systemd unit's), or the machine's. */
import { totalmem } from 'node:os';
import type { Setting } from './settings.ts';

/** `one` with a default that is this share of the memory at most: strangers must not fill a small container. Texts name the most that it is. */
export function ofMemory(share: number, one: Setting<number>): Setting<number> {
  return { ...one, standard: Math.min(one.standard, Math.floor(memoryLimit() * share)) };
}

/** `value` for each of several workers, which share that memory: a default is a part of it for each, what the operator has set stays. */
export function ofEachWorker(one: Setting<number>, share: number, value: number, workers: number): number {
  return value === one.standard ? Math.min(value, Math.floor((memoryLimit() * share) / workers)) : value;
}

function memoryLimit(): number {
  const constrained = process.constrainedMemory();
  // 0: unknown. Without a limit, cgroup v1 says nearly 2^63.
  return constrained > 0 && constrained < totalmem() ? constrained : totalmem();
}
