/** A node in a process of its own, for what can only be measured there. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll } from '@jest/globals';

const SCRIPT = fileURLToPath(new URL('./apps/lone-node.ts', import.meta.url));

export interface NodeProcess {
  readonly port: number;
  readonly backendPort: number;
  /** The most memory that it has had so far, as the kernel counts it. */
  peakBytes(): number;
}

const processes = new Set<ChildProcess>();

afterAll(() => {
  for (const child of processes) child.kill('SIGKILL');
});

export async function startNodeProcess(): Promise<NodeProcess> {
  const child = spawn(process.execPath, [SCRIPT], { stdio: ['ignore', 'pipe', 'inherit'] });
  processes.add(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { port, backendPort } = JSON.parse(line.toString()) as { port: number; backendPort: number };
  const peakBytes = (): number => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1_024;
  return { port, backendPort, peakBytes };
}
