/** This machine, as far as pullproxy needs it. */
import { statfsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { openFilesLimit } from '../../linker/open-files.ts';
import { type Check, checksOf } from './check.ts';

const SHARED_MEMORY = '/dev/shm';
/** A client takes one file descriptor, its stream to an instance may take another one. */
const OPEN_FILES_ENOUGH = 8_192;
const OPEN_FILES_LEAST = 256;
/** A hundred outputs of startup commands, 1 MiB each. */
const SHARED_BYTES_ENOUGH = 100 * 1_048_576;

export interface Machine {
  readonly node: string;
  /** Null: not known. */
  readonly openFiles: number | null;
  readonly processors: number;
  /** Free bytes; null: there is no such file system. */
  readonly sharedBytes: number | null;
}

export function readMachine(): Machine {
  return {
    node: process.versions.node,
    openFiles: openFilesLimit(),
    processors: availableParallelism(),
    sharedBytes: freeBytes(SHARED_MEMORY),
  };
}

export function machineChecks({ node, openFiles, processors, sharedBytes }: Machine): Check[] {
  const { ok, warning, error } = checksOf('machine');
  const mib = Math.floor((sharedBytes ?? 0) / 1_048_576);
  const raise = 'Raise it: ulimit -n 65536, LimitNOFILE=65536 in a unit of systemd, --ulimit nofile=65536 for docker run.';
  return [
    ok(`Node ${node}`),
    openFiles === null
      ? ok('the limit of open files is not known')
      : openFiles < OPEN_FILES_LEAST
        ? error(`at most ${openFiles} open files: a node or linker serves hardly anybody`, raise)
        : openFiles < OPEN_FILES_ENOUGH
          ? warning(`at most ${openFiles} open files: a node has room for about ${Math.floor(openFiles / 2)} clients`, raise)
          : ok(`at most ${openFiles} open files`),
    ok(processors === 1 ? '1 processor' : `${processors} processors: a busy node uses them with --workers`),
    sharedBytes === null
      ? warning(
          `${SHARED_MEMORY} can not be read`,
          'A scaler on a read-only file system keeps the output of startup commands there: give it --output-dir.',
        )
      : sharedBytes < SHARED_BYTES_ENOUGH
        ? warning(
            `${mib} MiB are free in ${SHARED_MEMORY}`,
            'The output of startup commands may need 100 MiB where the file system is read-only: --shm-size for docker run, or --output-dir.',
          )
        : ok(`${mib} MiB are free in ${SHARED_MEMORY}`),
  ];
}

function freeBytes(path: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return null;
  }
}
