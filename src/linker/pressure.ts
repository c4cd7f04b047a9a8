/**
 * Whether the application runs out of memory or of processor time, as the kernel says it of its control group: cgroup v2, with pressure stall
 * information (PSI), the share of the last ten seconds in which tasks waited for memory or a processor. Where there is no such group, as on
 * other systems, nothing is said.
 */
// `fs.promises` is loaded when it is read, and only a linker that searches its limit reads it here.
import fs from 'node:fs';
import { join, relative } from 'node:path';

/** More is not read of a file. */
const FILE_BYTES_MAX = 16_384;
/** Shares of memory.max in use, without what the kernel can drop. */
const MEMORY_FULL = 0.95;
const MEMORY_SCARCE = 0.85;
/** Shares of the time: in which all tasks waited for memory, in which some did, and in which some waited for a processor. */
const STALLED = 0.1;
const MEMORY_WAITS = 0.1;
const CPU_WAITS = 0.8;

/** The lines of PSI. */
const SOME = /^some avg10=(\d+(?:\.\d+)?) /m;
const ALL = /^full avg10=(\d+(?:\.\d+)?) /m;

/** The effect on the limit. `none`: no pressure is known. */
export type Pressure = 'none' | 'no more' | 'less';

export interface GroupFiles {
  readonly memoryMax: string | null;
  readonly memoryCurrent: string | null;
  readonly memoryStat: string | null;
  readonly memoryPressure: string | null;
  readonly cpuPressure: string | null;
}

/** The values of a control group's files; null: it has no such file. */
export function pressureOf({ memoryMax, memoryCurrent, memoryStat, memoryPressure, cpuPressure }: GroupFiles): Pressure {
  const used = Number(memoryCurrent) - Number(/^inactive_file (\d+)$/m.exec(memoryStat ?? '')?.[1] ?? 0);
  // `max`: there is no limit.
  const memory = memoryCurrent === null ? 0 : used / Number(memoryMax ?? Number.NaN) || 0;
  if (memory >= MEMORY_FULL || stalled(memoryPressure, ALL) >= STALLED) return 'less';
  if (memory >= MEMORY_SCARCE || stalled(memoryPressure, SOME) >= MEMORY_WAITS) return 'no more';
  return stalled(cpuPressure, SOME) >= CPU_WAITS ? 'no more' : 'none';
}

/** The share of the last ten seconds; 0: not known. */
function stalled(pressure: string | null, who: RegExp): number {
  const percent = who.exec(pressure ?? '')?.[1];
  return percent === undefined ? 0 : Number(percent) / 100;
}

/** The directory of a process's control group, by its /proc/PID/cgroup and our /proc/self/mountinfo; null: it has none. */
export function groupDirectory(cgroup: string, mountinfo: string): string | null {
  const path = /^0::(\/.*)$/m.exec(cgroup)?.[1];
  for (const line of mountinfo.split('\n')) {
    const [, , , root, mount] = line.split(' ');
    if (path === undefined || root === undefined || mount === undefined || !line.includes(' - cgroup2 ')) continue;
    const inside = relative(root, path);
    if (!inside.startsWith('..')) return join(mount, inside);
  }
  return null;
}

/** Null where the process has no control group of its own, beside that of the whole machine. */
export async function findGroup(pid: number): Promise<string | null> {
  const [cgroup, mountinfo] = await Promise.all([
    read(`/proc/${pid}/cgroup`),
    fs.promises.readFile('/proc/self/mountinfo', 'utf8').catch(() => null),
  ]);
  const directory = groupDirectory(cgroup ?? '', mountinfo ?? '');
  // All but the machine's have a type.
  return directory === null || (await read(join(directory, 'cgroup.type'))) === null ? null : directory;
}

export async function readPressure(directory: string): Promise<Pressure> {
  const names = ['memory.max', 'memory.current', 'memory.stat', 'memory.pressure', 'cpu.pressure'] as const;
  const [memoryMax, memoryCurrent, memoryStat, memoryPressure, cpuPressure] = (await Promise.all(
    names.map((name) => read(join(directory, name))),
  )) as [string | null, string | null, string | null, string | null, string | null];
  return pressureOf({ memoryMax, memoryCurrent, memoryStat, memoryPressure, cpuPressure });
}

/** Null: it can't be read. */
async function read(path: string): Promise<string | null> {
  const file = await fs.promises.open(path, 'r').catch(() => null);
  if (file === null) return null;
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(FILE_BYTES_MAX), 0, FILE_BYTES_MAX, null);
    return buffer.toString('latin1', 0, bytesRead);
  } catch {
    // PSI can be turned off, and then can't be read.
    return null;
  } finally {
    await file.close();
  }
}
