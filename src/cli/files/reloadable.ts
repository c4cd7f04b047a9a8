/** Settings that a process takes anew while it runs. All are read and checked before the first one counts. */
import { createHash } from 'node:crypto';
import type { ReloadOutcome } from '../../admin/reload-report.ts';
import type { Log } from '../../log.ts';
import { followFiles } from './follow-files.ts';

/** The values that were read and checked. They count from `apply` on. */
export interface Prepared {
  /** By flag. */
  readonly outcomes: ReadonlyMap<string, ReloadOutcome>;
  apply(): void;
  /** It will not count: closes what was opened for it. */
  discard?(): void;
}

/** A part of a process that takes settings anew. */
export interface Reloadable<S> {
  /** Changes nothing. @throws ConfigError when `next` can not be used */
  prepare(next: S): Prepared;
}

/** Reads files again when they change. Files that can't be used change nothing until they change again, and `bad` is logged. */
export function rereadChanged(paths: () => readonly string[], prepare: () => Prepared, log: Log, bad: string): void {
  followFiles(paths, () => {
    try {
      void prepare().apply();
    } catch (error) {
      log.warn({ err: error }, bad);
    }
  });
}

/** The same for the same contents. */
export function digestOf(contents: readonly (Uint8Array | string)[]): string {
  const hash = createHash('sha256');
  for (const content of contents) hash.update(`${content.length}:`).update(content);
  return hash.digest('hex');
}

export function outcomesOf(before: Readonly<Record<string, string>>, after: Readonly<Record<string, string>>): Map<string, ReloadOutcome> {
  return new Map(Object.keys(after).map((flag) => [flag, before[flag] === after[flag] ? 'unchanged' : 'changed']));
}

export function hasChanged({ outcomes }: Prepared): boolean {
  return [...outcomes.values()].includes('changed');
}
