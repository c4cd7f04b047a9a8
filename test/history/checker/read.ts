/** Reads a history's files side by side, in the order of time, with no more of each in memory than a few lines. */
import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import type { HistoryEvent, ProcessBegan } from '../events.ts';
import type { Offsets } from './clocks.ts';
import type { Line } from './line.ts';

const FILE = /^(?<process>(?:client|node|linker|app|command|operator)-.*-\d+)\.(?<segment>\d+)\.jsonl(?:\.gz)?$/;

/** The files of a directory: those of one process in their order. */
function filesOf(directory: string): string[][] {
  const byProcess = new Map<string, { readonly path: string; readonly segment: number }[]>();
  for (const name of readdirSync(directory)) {
    const { process, segment } = FILE.exec(name)?.groups ?? {};
    if (process === undefined) continue;
    const files = byProcess.get(process) ?? [];
    files.push({ path: join(directory, name), segment: Number(segment) });
    byProcess.set(process, files);
  }
  return [...byProcess.values()].map((files) => files.sort((a, b) => a.segment - b.segment).map(({ path }) => path));
}

/** All values of `clock`: processes with the same one need no comparison. */
export async function clocksOf(directory: string): Promise<ReadonlySet<string>> {
  const clocks = new Set<string>();
  for (const paths of filesOf(directory))
    for await (const { by } of linesOf(paths.slice(0, 1), null)) {
      clocks.add(by.clock);
      break;
    }
  return clocks;
}

interface Source {
  readonly lines: AsyncIterator<Line>;
  next: Line;
}

/** All lines; `offsets`: what is to be added to the times of a process whose clock is another one. */
export async function* readHistory(directory: string, offsets: Offsets | null = null): AsyncGenerator<Line> {
  const heap: Source[] = [];
  for (const paths of filesOf(directory)) {
    const lines = linesOf(paths, offsets);
    const first = await lines.next();
    if (first.done !== true) push(heap, { lines, next: first.value });
  }
  for (let first = heap[0]; first !== undefined; first = heap[0]) {
    yield first.next;
    const { done, value } = await first.lines.next();
    if (done === true) {
      const last = heap.pop() as Source;
      if (heap.length > 0) heap[0] = last;
    } else first.next = value;
    sink(heap);
  }
}

async function* linesOf(paths: readonly string[], offsets: Offsets | null): AsyncGenerator<Line> {
  let by: ProcessBegan | null = null;
  for (const path of paths) {
    const bytes = createReadStream(path);
    const input = path.endsWith('.gz') ? bytes.pipe(createGunzip()) : bytes;
    for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      const event = parse(text);
      // A process that was killed may have left a part of a line.
      if (event === null) continue;
      const isFirst = by === null;
      if (event.e === 'process') by ??= event;
      if (by === null || (event.e === 'process' && !isFirst)) continue;
      const offset = offsets?.of(by) ?? 0;
      yield { event: offset === 0 ? event : { ...event, t: event.t + offset }, by };
    }
  }
}

function parse(text: string): HistoryEvent | null {
  try {
    return JSON.parse(text) as HistoryEvent;
  } catch {
    return null;
  }
}

function push(heap: Source[], source: Source): void {
  heap.push(source);
  let at = heap.length - 1;
  while (at > 0) {
    const above = (at - 1) >> 1;
    if (timeAt(heap, above) <= timeAt(heap, at)) return;
    swap(heap, at, above);
    at = above;
  }
}

function sink(heap: Source[]): void {
  let at = 0;
  for (;;) {
    const [left, right] = [2 * at + 1, 2 * at + 2];
    let least = at;
    if (left < heap.length && timeAt(heap, left) < timeAt(heap, least)) least = left;
    if (right < heap.length && timeAt(heap, right) < timeAt(heap, least)) least = right;
    if (least === at) return;
    swap(heap, at, least);
    at = least;
  }
}

function timeAt(heap: readonly Source[], at: number): number {
  return (heap[at] as Source).next.event.t;
}

function swap(heap: Source[], a: number, b: number): void {
  [heap[a], heap[b]] = [heap[b] as Source, heap[a] as Source];
}
