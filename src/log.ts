import { closeSync, constants, fstatSync, openSync, write, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isatty } from 'node:tty';
import pino from 'pino';
import { printableLines } from './printable.ts';
import { RepeatedLines } from './repeated-lines.ts';

export type Log = pino.Logger;

/** The kernel writes this much atomically (PIPE_BUF), so lines of several processes do not mix. */
const WRITE_BYTES_MAX = 4_096;
/** In the access log fewer bytes wait for FLUSH_MS. */
const FLUSH_BYTES = 2_048;
const FLUSH_MS = 250;
/** Bytes that may wait for a slow disk or reader; further lines are dropped. */
const WAITING_BYTES_MAX = 4 * 1_048_576;
/** The pause before a reader that does not read is tried again, and before a full disk is. */
const RETRY_MS = 100;
const FAILED_MS = 1_000;
/** At the end: how long waiting lines may take. */
const CLOSE_MS = 2_000;
const STDOUT = 1;
const STDERR = 2;
const INFO = 30;

let ownLines: LineSink | null = null;
let errorLines: LineSink | null = null;
/** Shared by all loggers of this process. */
const repeated = new RepeatedLines();

/** Writes lines of `levelMin` and above, unless too many had the same message. The listener hears of what is not written, too. */
function logMethodFrom(levelMin: number) {
  return function logMethod(this: Log, args: Parameters<pino.LogFn>, method: pino.LogFn, level: number): void {
    const [first, second] = args as readonly unknown[];
    const message = typeof first === 'string' ? first : typeof second === 'string' ? second : null;
    const write = (facts: object, summary: string): void => method.call(this, facts, summary);
    if (level >= (changedLevelMin ?? levelMin) && (message === null || repeated.take(level, message, write))) method.apply(this, args);
    if (message === null || level < INFO || listener === null) return;
    listener(level, message, { ...this.bindings(), ...(typeof first === 'object' ? first : {}) });
  };
}

/** Is told of each line of level info and above, also those that are not written: they repeat, or are below the level. Must not throw, and must not log. */
export type LogListener = (level: number, message: string, facts: Readonly<Record<string, unknown>>) => void;

let listener: LogListener | null = null;
/** Counts for all loggers of this process, once it is set. */
let changedLevelMin: number | null = null;

export function listenToLog(to: LogListener | null): void {
  listener = to;
}

/**
 * JSON lines on stdout, or what `shown` makes of each. Secrets are never passed to it. When a message repeats, it writes the first lines and then how many more there were.
 * Neither a reader that does not read nor a full disk stops the process.
 */
export function createLog(name: string, level = 'info', shown: (line: string) => string = printableLines): Log {
  ownLines ??= openStandard(STDOUT);
  const lines = ownLines;
  const levelMin = levelMinOf(level);
  return pino(
    { name, level: heardLevel(level), timestamp: pino.stdTimeFunctions.isoTime, hooks: { logMethod: logMethodFrom(levelMin) } },
    { write: (line) => lines.write(shown(line)) },
  );
}

/** From now on this process writes lines of `level` and above. Those below info only by `log`, and by loggers that are made of it later. */
export function changeLogLevel(log: Log, level: string): void {
  changedLevelMin = levelMinOf(level);
  log.level = heardLevel(level);
}

function levelMinOf(level: string): number {
  return level === 'silent' ? Number.POSITIVE_INFINITY : (pino.levels.values[level] ?? INFO);
}

/** pino skips lines below its level before anybody hears of them. */
function heardLevel(level: string): string {
  return levelMinOf(level) > INFO ? 'info' : level;
}

/** Resolves when the log is written, or after CLOSE_MS. */
export async function closeLog(): Promise<void> {
  repeated.close();
  await Promise.all([ownLines?.close(), errorLines?.close()]);
}

export interface LineFile {
  /** Writes one line with its newline. Never blocks; a line without room is dropped. */
  write(line: string): void;
  /** Lines that were dropped. */
  readonly dropped: number;
  /** Resolves when everything is written, or after CLOSE_MS. */
  close(): Promise<void>;
}

/**
 * Appends lines to a file, or to stdout, without blocking the event loop. Calls `failed` once when writing fails (disk full), and again only
 * after writing has worked in between.
 * @throws Error when the file can't be opened
 */
export function openLineFile(target: 'stdout' | { readonly path: string }, failed: (error: Error) => void): LineFile {
  const fd = target === 'stdout' ? STDOUT : openSync(target.path, 'a');
  return new LineSink(withoutBlocking(fd) ?? fd, { sync: false, gatherBytes: FLUSH_BYTES, failed });
}

/** Writes text on stderr. Never blocks: text without room is dropped. */
export function writeToStderr(text: string): void {
  errorLines ??= openStandard(STDERR);
  errorLines.write(text);
}

/** Lines are written at once if that can't block, so that the last lines before a crash are there. */
function openStandard(standard: typeof STDOUT | typeof STDERR): LineSink {
  const fd = withoutBlocking(standard);
  const sync = fd !== null || !canBlock(standard);
  const lines = new LineSink(fd ?? standard, { sync, gatherBytes: 0, failed: () => {} });
  process.on('exit', () => lines.lastWords());
  return lines;
}

function canBlock(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isSocket() || isatty(fd);
  } catch {
    return false;
  }
}

/** The same pipe or terminal, opened again so that writing never blocks; null: it is neither, or it can't be opened. */
function withoutBlocking(fd: number): number | null {
  try {
    if (!fstatSync(fd).isFIFO() && !isatty(fd)) return null;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_APPEND | constants.O_NOCTTY);
  } catch {
    return null;
  }
}

interface SinkOptions {
  /** Writes in the turn of the event loop in which the line came. */
  readonly sync: boolean;
  /** Fewer bytes wait for FLUSH_MS. */
  readonly gatherBytes: number;
  readonly failed: (error: Error) => void;
}

/** `waiting`: for a reader, or for space on a disk. */
type SinkState = 'idle' | 'writing' | 'waiting';

class LineSink implements LineFile {
  dropped = 0;
  readonly #fd: number;
  readonly #options: SinkOptions;
  readonly #lines: string[] = [];
  /** Bytes that are not written yet. */
  #bytes = 0;
  /** The bytes that are being written. */
  #chunk: Buffer | null = null;
  #chunkLines = 0;
  #state: SinkState = 'idle';
  #failing = false;
  #closing = false;
  #timer: NodeJS.Timeout | null = null;
  #emptied: (() => void) | null = null;

  constructor(fd: number, options: SinkOptions) {
    this.#fd = fd;
    this.#options = options;
  }

  write(line: string): void {
    // Lines after close() are not written.
    if (this.#closing || line === '') return;
    const bytes = Buffer.byteLength(line);
    if (this.#bytes + bytes > WAITING_BYTES_MAX) {
      this.dropped++;
      return;
    }
    this.#lines.push(line);
    this.#bytes += bytes;
    if (this.#state !== 'idle') return;
    if (this.#bytes >= this.#options.gatherBytes) this.#pump();
    else this.#pumpIn(FLUSH_MS);
  }

  async close(): Promise<void> {
    this.#closing = true;
    if (this.#state === 'idle') this.#pump();
    if (this.#bytes > 0) {
      const emptied = new Promise<void>((resolve) => {
        this.#emptied = resolve;
      });
      const patience = new AbortController();
      const overdue = delay(CLOSE_MS, undefined, { signal: patience.signal }).catch(() => {});
      await Promise.race([emptied, overdue]);
      patience.abort();
    }
    if (this.#fd > STDERR && this.#state !== 'writing') closeSync(this.#fd);
  }

  /** At the end of the process: writes what it can without waiting. */
  lastWords(): void {
    if (!this.#options.sync || this.#closing) return;
    this.#state = 'idle';
    this.#pump();
  }

  #pumpIn(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (this.#state === 'waiting') this.#state = 'idle';
      if (this.#state === 'idle') this.#pump();
    }, ms).unref();
  }

  #pump(): void {
    while (this.#state === 'idle' && this.#bytes > 0) {
      const chunk = this.#chunk ?? this.#nextChunk();
      this.#chunk = chunk;
      this.#state = 'writing';
      if (this.#options.sync) this.#writeNow(chunk);
      else this.#writeSoon(chunk);
    }
    if (this.#bytes === 0) this.#emptied?.();
  }

  #writeNow(chunk: Buffer): void {
    try {
      this.#wrote(writeSync(this.#fd, chunk));
    } catch (error) {
      this.#failed(error as NodeJS.ErrnoException);
    }
  }

  #writeSoon(chunk: Buffer): void {
    write(this.#fd, chunk, (error, bytes) => {
      if (error === null) this.#wrote(bytes);
      else this.#failed(error);
      this.#pump();
    });
  }

  #nextChunk(): Buffer {
    let count = 0;
    for (let bytes = 0; count < this.#lines.length; count++) {
      bytes += Buffer.byteLength(this.#lines[count] as string);
      if (bytes > WRITE_BYTES_MAX && count > 0) break;
    }
    this.#chunkLines = count;
    return Buffer.from(this.#lines.splice(0, count).join(''));
  }

  #wrote(bytes: number): void {
    const chunk = this.#chunk as Buffer;
    this.#state = 'idle';
    this.#failing = false;
    this.#bytes -= bytes;
    this.#chunk = bytes === chunk.length ? null : chunk.subarray(bytes);
  }

  /** At the end nothing waits for a disk. */
  #giveUp(): void {
    this.dropped += this.#lines.length;
    this.#lines.length = 0;
    this.#bytes = 0;
    this.#emptied?.();
  }

  #failed(error: NodeJS.ErrnoException): void {
    this.#state = 'waiting';
    if (error.code === 'EAGAIN') {
      this.#pumpIn(RETRY_MS);
      return;
    }
    this.dropped += this.#chunkLines;
    this.#bytes -= (this.#chunk as Buffer).length;
    this.#chunk = null;
    if (!this.#failing) this.#options.failed(error);
    this.#failing = true;
    if (this.#closing) this.#giveUp();
    else this.#pumpIn(FAILED_MS);
  }
}
