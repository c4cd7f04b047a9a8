/** A wall clock of its own for a process, by libfaketime (Debian: faketime). Its monotonic clock goes on as all others do. */
import { globSync, writeFileSync } from 'node:fs';

/**
 * The environment of a process whose clock is as `file` says; null: libfaketime is not there. jemalloc asks for the time before libfaketime can tell it:
 * a program that brings it needs the memory of libc, which asks for none.
 */
export function wallClockEnv(file: string, memory: 'its own memory' | 'the memory of libc'): Record<string, string> | null {
  const [library] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1');
  if (library === undefined) return null;
  const libraries = memory === 'its own memory' ? [library] : [library, ...globSync('/lib/*/libc.so.6')];
  return {
    LD_PRELOAD: libraries.join(':'),
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
}

/** From now on the clock is wrong by so much. */
export function setWallClock(file: string, seconds: number): void {
  writeFileSync(file, `${seconds < 0 ? '' : '+'}${seconds}\n`);
}
