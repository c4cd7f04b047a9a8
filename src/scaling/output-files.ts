/**
 * Output of startup commands: a file for each run, not a pipe of the scaler. A program that a command leaves running, such as `linker &` in a
 * script, goes on writing there when the scaler ends. A pipe would break, and its writer with it.
 *
 * Each scaler with the same directory limits all files in it, also those of earlier scalers. A file that has grown too
 * large keeps its end. A file without a writer is removed after an hour, or sooner when there are too many of them.
 */

import { accessSync, closeSync, constants, fstatSync, ftruncateSync, lstatSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { readdir, readlink, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { guard, unawaited } from '../boundary.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';

export const FILE_BYTES_MAX = 1_048_576;
/** The bytes that are left of a file that has grown beyond that. */
export const KEPT_BYTES = 65_536;
/** Files without a writer. */
export const IDLE_FILES_MAX = 100;
export const IDLE_LIVES_MS = 3_600_000;
const LOOK_MS = 1_000;
/** Writers are looked up less often: that reads two links of each process. */
const TIDY_MS = 60_000;
const SUFFIX = '.log';
const NAME_CHARS_MAX = 64;
/** A start that runs again after its scaler has died has a file of the same name. */
const NAMES_MAX = 1_000;
/** O_APPEND: several processes write, and a file that is cut short goes on at its new end. */
const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;

export interface OutputFile {
  /** For the command's stdout and stderr. */
  readonly descriptor: number;
  /** The last bytes written so far, at most `bytesMax`; whole lines when something is left out. */
  tail(bytesMax: number): string;
  /** This process does not need the file any more; its writers still do. */
  close(): void;
}

export class OutputFiles {
  readonly #directory: string;
  readonly #log: Log;
  readonly #timer: NodeJS.Timeout;
  #looking = false;
  #tidiedAt = Number.NEGATIVE_INFINITY;

  /** @throws Error when the directory can't be made, or is not this user's own */
  constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#log = log;
    // Not recursive: Node would try for ever when the parent exists and refuses, as /proc does.
    if (lstatSync(directory, { throwIfNoEntry: false }) === undefined) mkdirSync(directory, { mode: 0o700 });
    const found = lstatSync(directory);
    // In /tmp another user may have made it before, or a link in its place.
    if (!found.isDirectory()) throw new Error(`${directory} is not a directory`);
    if (process.getuid !== undefined && found.uid !== process.getuid()) throw new Error(`${directory} belongs to another user`);
    accessSync(directory, constants.W_OK | constants.X_OK);
    const look = guard('timer', () => this.#look());
    this.#timer = setInterval(look, LOOK_MS);
    this.#timer.unref();
  }

  /** Null when no file can be opened: disk full, no file descriptors. That was logged. */
  open(name: string): OutputFile | null {
    // Ids come from Redis.
    const safe = name.replace(/[^a-z0-9]/gi, '_').slice(0, NAME_CHARS_MAX);
    for (let n = 0; n < NAMES_MAX; n++) {
      try {
        const path = join(this.#directory, `${safe}${n === 0 ? '' : `-${n}`}${SUFFIX}`);
        return new OpenOutput(openSync(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
        this.#log.warn(
          { reason: reasonOf(error) },
          'no file for the output of a startup command: a program that it leaves running may end with the scaler',
        );
        return null;
      }
    }
    return null;
  }

  /** The files stay. */
  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    if (this.#looking) return;
    this.#looking = true;
    const looked = this.#bound()
      .catch((error: unknown) => this.#log.warn({ reason: reasonOf(error) }, 'the output files of startup commands could not be limited'))
      .finally(() => {
        this.#looking = false;
      });
    unawaited('timer', looked);
  }

  async #bound(): Promise<void> {
    const files = await this.#files();
    for (const { path, bytes } of files) if (bytes > FILE_BYTES_MAX) cutShort(path);
    const now = performance.now();
    if (now - this.#tidiedAt < TIDY_MS && files.length <= 2 * IDLE_FILES_MAX) return;
    this.#tidiedAt = now;
    const written = await filesInUse();
    const idle = files.filter(({ path, ageMs }) => ageMs > LOOK_MS && !written.has(path)).sort((a, b) => a.ageMs - b.ageMs);
    for (const [at, { path, ageMs }] of idle.entries()) if (at >= IDLE_FILES_MAX || ageMs > IDLE_LIVES_MS) await rm(path, { force: true });
  }

  async #files(): Promise<{ path: string; bytes: number; ageMs: number }[]> {
    const names = (await readdir(this.#directory)).filter((name) => name.endsWith(SUFFIX));
    const found = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#directory, name);
        const facts = await stat(path).catch(() => null);
        // Only the clock of this machine: a file is as old as its last line.
        return facts?.isFile() ? [{ path, bytes: facts.size, ageMs: Date.now() - facts.mtimeMs }] : [];
      }),
    );
    return found.flat();
  }
}

class OpenOutput implements OutputFile {
  readonly descriptor: number;

  constructor(descriptor: number) {
    this.descriptor = descriptor;
  }

  tail(bytesMax: number): string {
    try {
      const end = readEnd(this.descriptor, bytesMax);
      const text = end.bytes.toString('utf8');
      return text.slice(end.whole ? 0 : text.indexOf('\n') + 1).trimEnd();
    } catch (error) {
      return `(its output can't be read: ${reasonOf(error)})`;
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

function readEnd(descriptor: number, bytesMax: number): { readonly bytes: Buffer; readonly whole: boolean } {
  const { size } = fstatSync(descriptor);
  const bytes = Buffer.alloc(Math.min(size, bytesMax));
  const read = readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
  return { bytes: bytes.subarray(0, read), whole: size <= bytesMax };
}

/** Bytes that are written between the two calls are lost: a few of many lines. */
function cutShort(path: string): void {
  const descriptor = openSync(path, O_RDWR | O_APPEND | O_NOFOLLOW);
  try {
    const { bytes } = readEnd(descriptor, KEPT_BYTES);
    ftruncateSync(descriptor, 0);
    writeSync(descriptor, bytes.subarray(bytes.indexOf(0x0a) + 1));
  } finally {
    closeSync(descriptor);
  }
}

/** Files that are stdout or stderr of a process, as far as this user may see. */
async function filesInUse(): Promise<ReadonlySet<string>> {
  const pids = await readdir('/proc').catch(() => []);
  const links = pids.filter((pid) => /^\d+$/.test(pid)).flatMap((pid) => [`/proc/${pid}/fd/1`, `/proc/${pid}/fd/2`]);
  const files = await Promise.all(links.map((link) => readlink(link).catch(() => '')));
  return new Set(files);
}
