/**
 * The events of one process, in files: written with the call that records them, so that a SIGKILL loses none. A segment that is full is
 * compressed, and a process that has written its share writes no more.
 */
import { closeSync, mkdirSync, openSync, readFileSync, unlinkSync, writeFileSync, writeSync } from 'node:fs';
import { readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip, gzipSync } from 'node:zlib';
import type { HistoryEvent, Recorder, Role, WithoutTime } from '../events.ts';

const SEGMENT_BYTES_MAX = 16 * 1_048_576;
const FILE_BYTES_MAX = 8_192 * 1_048_576;
const HEARTBEAT_MS = 20;
/** A timer that comes later than this is noted. */
const LATE_MS = 20;
const CLOCK_EVERY_MS = 1_000;

/** Microseconds of CLOCK_MONOTONIC. */
function nowMicros(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

export class HistoryFile implements Recorder {
  readonly #path: string;
  readonly #about: { readonly role: Role; readonly name: string };
  readonly #compressing = new Set<Promise<void>>();
  #segment = 0;
  #fd: number;
  #segmentBytes = 0;
  #bytes = 0;
  #isFull = false;
  #heart: NodeJS.Timeout | null = null;

  constructor(directory: string, role: Role, name: string) {
    mkdirSync(directory, { recursive: true });
    this.#about = { role, name };
    this.#path = join(directory, `${role}-${name}-${process.pid}`);
    this.#fd = this.#open();
    this.#beat();
  }

  add(event: WithoutTime<HistoryEvent>): void {
    if (this.#isFull) return;
    this.#write({ t: nowMicros(), ...event });
    if (this.#segmentBytes >= SEGMENT_BYTES_MAX) this.#next();
  }

  /** Resolves when all but the last segment is compressed. */
  async close(): Promise<void> {
    if (this.#heart !== null) clearInterval(this.#heart);
    closeSync(this.#fd);
    this.#isFull = true;
    await Promise.all(this.#compressing);
  }

  get #name(): string {
    return `${this.#path}.${this.#segment}.jsonl`;
  }

  #open(): number {
    this.#fd = openSync(this.#name, 'a');
    this.#segmentBytes = 0;
    const clock = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    this.#write({ e: 'process', t: nowMicros(), ...this.#about, pid: process.pid, clock, wallMs: Date.now() });
    return this.#fd;
  }

  #write(event: object): void {
    this.#segmentBytes += writeSync(this.#fd, `${JSON.stringify(event)}\n`);
  }

  #next(): void {
    const done = this.#name;
    closeSync(this.#fd);
    this.#bytes += this.#segmentBytes;
    this.#segment++;
    this.#open();
    if (this.#bytes >= FILE_BYTES_MAX) {
      this.#write({ e: 'full', t: nowMicros() });
      this.#isFull = true;
    }
    const compressed = compress(done).finally(() => this.#compressing.delete(compressed));
    this.#compressing.add(compressed);
  }

  /** The process says how late its timers are, and shows its clocks. */
  #beat(): void {
    let due = performance.now() + HEARTBEAT_MS;
    let cpu = process.cpuUsage();
    let clockAt = 0;
    this.#heart = setInterval(() => {
      const now = performance.now();
      const lateMs = now - due;
      const used = process.cpuUsage(cpu);
      if (lateMs > LATE_MS) this.add({ e: 'stall', lateMs: Math.round(lateMs), ownCpuMs: Math.round((used.user + used.system) / 1_000) });
      if (now - clockAt >= CLOCK_EVERY_MS) {
        clockAt = now;
        this.add({ e: 'clock', wallMs: Date.now() });
      }
      cpu = process.cpuUsage();
      due = now + HEARTBEAT_MS;
    }, HEARTBEAT_MS);
    this.#heart.unref();
  }
}

async function compress(path: string): Promise<void> {
  const bytes = await promisify(gzip)(await readFile(path), { level: 1 });
  await writeFile(`${path}.gz`, bytes);
  await unlink(path);
}

/** What a process that has ended left. */
export function compressNow(path: string): void {
  writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 1 }));
  unlinkSync(path);
}
