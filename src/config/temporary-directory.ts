import { tmpdir } from 'node:os';
import { messageOf } from '../errors.ts';

/** A container with a read-only file system has this directory in memory. */
const SHARED_MEMORY = '/dev/shm';

/** Calls `make` with a directory for temporary files, and with the next one if it throws. @throws Error with the reasons of all */
export function inTemporaryDirectory<T>(make: (directory: string) => T): T {
  const reasons: string[] = [];
  for (const directory of [tmpdir(), SHARED_MEMORY]) {
    try {
      return make(directory);
    } catch (error) {
      reasons.push(messageOf(error));
    }
  }
  throw new Error(reasons.join('; '));
}
