/** What startup commands and applications write down, whatever process they are, and how they are found and ended by it. */
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

export interface LinkerProcess {
  readonly pid: number;
  readonly startId: string;
}

export class Traces {
  readonly #directory: string;
  readonly #commands: string;
  readonly #apps: string;
  readonly #violations: string;
  readonly #posts: string;

  /** `directory`: the working directory of the scalers, which all that they start inherits. */
  constructor(directory: string) {
    this.#directory = directory;
    this.#commands = join(directory, 'commands');
    this.#apps = join(directory, 'starts');
    this.#violations = join(directory, 'violations');
    this.#posts = join(directory, 'posts');
  }

  /** For startup commands and applications, as test/support/apps/ read it. */
  get env(): Record<string, string> {
    return { STARTS_FILE: this.#apps, VIOLATIONS_FILE: this.#violations, COMMANDS_FILE: this.#commands, POSTS_FILE: this.#posts };
  }

  /** Linkers that live now. */
  linkers(): LinkerProcess[] {
    return lines(this.#commands)
      .map((line) => JSON.parse(line) as { START_ID: string; linkerPid: number })
      .map(({ START_ID, linkerPid }) => ({ startId: START_ID, pid: linkerPid }))
      .filter(({ pid }) => this.#lives(pid));
  }

  signal(pid: number, name: NodeJS.Signals): void {
    if (this.#lives(pid)) process.kill(pid, name);
  }

  /** The application of a linker, which outlives its kill -9: as when a container dies, both go. */
  killLinker(linker: LinkerProcess): void {
    this.signal(linker.pid, 'SIGKILL');
    for (const { pid, startId } of this.#startedApps()) if (startId === linker.startId) this.signal(pid, 'SIGKILL');
  }

  killAll(): void {
    for (const linker of this.linkers()) this.killLinker(linker);
    for (const { pid } of this.#startedApps()) this.signal(pid, 'SIGKILL');
  }

  /** Startup commands that were run. */
  commands(): number {
    return lines(this.#commands).length;
  }

  /** Times that an application had more at once than it can stand. */
  violations(): string[] {
    return lines(this.#violations);
  }

  /** Requests that may not be sent a second time, and were. */
  servedTwice(): string[] {
    const seen = new Set<string>();
    return lines(this.#posts).filter((id) => seen.size === seen.add(id).size);
  }

  #startedApps(): { pid: number; startId: string }[] {
    return lines(this.#apps).map((line) => JSON.parse(line) as { pid: number; startId: string });
  }

  /** Numbers of processes are used again: by the working directory it is known that this one is still ours. */
  #lives(pid: number): boolean {
    try {
      // A zombie has ended; only its parent has not asked.
      return readlinkSync(`/proc/${pid}/cwd`) === this.#directory && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return false;
    }
  }
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}
