/** Operators' declarations, in a file of the directory that --state-dir names: it outlives the loss of Redis and of all nodes. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { guard } from '../../boundary.ts';
import {
  DECLARATION_KINDS,
  DECLARATIONS_MAX,
  type Declaration,
  type Declarations,
  type DeclarationsFile,
  VERSION_MAX,
} from '../../cluster/declarations.ts';
import { countOf, isObject, routeNameOf, textOf } from '../../cluster/values.ts';
import type { Log } from '../../log.ts';

const FILE = 'declarations.json';
const FORM = 1;
const FILE_BYTES_MAX = 256 * 1_048_576;
const VALUE_CHARS_MAX = 65_536;
/** Several changes at once are written once. */
const GATHER_MS = 100;
const RETRY_MS = 5_000;
const CLUSTER = /^[\w-]{1,64}$/;

/** @throws Error when the directory is not there and can't be made. */
export function openDeclarationsFile(directory: string, log: Log): DeclarationsFile & { flush(): void } {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, FILE);
  let waiting: Declarations | null = null;
  let timer: NodeJS.Timeout | null = null;

  const write = guard('file', () => {
    timer = null;
    if (waiting === null) return;
    try {
      replace(path, JSON.stringify({ form: FORM, ...waiting }));
      waiting = null;
    } catch (error) {
      log.error({ err: error, file: path }, 'the state file can not be written');
      writeIn(RETRY_MS);
    }
  });
  const writeIn = (ms: number): void => {
    timer ??= setTimeout(write, ms).unref();
  };

  return {
    read() {
      try {
        return read(path);
      } catch (error) {
        const aside = `${path}.unreadable`;
        log.error({ err: error, file: path, aside }, 'the state file can not be read: it is moved aside');
        move(path, aside);
        return null;
      }
    },
    save(declarations) {
      waiting = declarations;
      writeIn(GATHER_MS);
    },
    putAside(declarations) {
      const aside = join(directory, `declarations-${declarations.cluster ?? 'nameless'}.json`);
      try {
        replace(aside, JSON.stringify({ form: FORM, ...declarations }));
      } catch (error) {
        log.error({ err: error, file: aside }, 'the state file can not be written');
      }
      return aside;
    },
    flush() {
      if (timer !== null) clearTimeout(timer);
      write();
    },
  };
}

/** A reader finds the file as it was before or as it is after, also when this process ends in between. */
function replace(path: string, text: string): void {
  const written = `${path}.${process.pid}`;
  const fd = openSync(written, 'w', 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(written, path);
}

function move(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch {
    // It stays where it is, and is written over.
  }
}

/** Null: there is none yet. @throws Error when it says something else. */
function read(path: string): Declarations | null {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return null;
  if (statSync(path).size > FILE_BYTES_MAX) throw new Error(`it is larger than ${FILE_BYTES_MAX} bytes`);
  const said: unknown = JSON.parse(readFileSync(path, 'utf8'));
  if (!isObject(said) || said.form !== FORM || !Array.isArray(said.all)) throw new Error('it is no state file of this version');
  const highest = countOf(said.highest, VERSION_MAX);
  if (highest === null) throw new Error('it has no highest version');
  const cluster = typeof said.cluster === 'string' && CLUSTER.test(said.cluster) ? said.cluster : null;
  return { cluster, highest, all: said.all.slice(0, DECLARATIONS_MAX).map(readOne) };
}

function readOne(one: unknown): Declaration {
  if (!isObject(one)) throw new Error('a declaration is no object');
  const kind = DECLARATION_KINDS.find((known) => known === one.kind);
  const name = routeNameOf(one.name);
  const version = countOf(one.version, VERSION_MAX);
  if (kind === undefined || name === null || version === null)
    throw new Error(`a declaration is bad: ${JSON.stringify(one).slice(0, 200)}`);
  if (one.value !== null && typeof one.value !== 'string') throw new Error(`the value of ${name} is no text`);
  return { kind, name, version, value: one.value === null ? null : textOf(one.value, VALUE_CHARS_MAX) };
}
