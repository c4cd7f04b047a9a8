import type { Bell, Directory } from '../../src/cluster/directory.ts';
import { DirectoryUnavailable } from '../../src/cluster/directory.ts';

/** A directory and a bell that can be cut off at once: what a killed process leaves behind, or a lost path to Redis. */
export interface Cuttable {
  readonly directory: Directory;
  readonly bell: Bell;
  /** How often each of the directory's methods was called. */
  readonly calls: ReadonlyMap<string, number>;
  cut(): Promise<void>;
  /** The directory can be reached again; the bell stays silent. */
  mend(): void;
}

export function cuttable(directory: Directory, bell: Bell): Cuttable {
  let isCut = false;
  const calls = new Map<string, number>();
  const cutDirectory = new Proxy(directory, {
    get(target, property) {
      if (isCut && property === 'connected') return false;
      const value: unknown = Reflect.get(target, property);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        calls.set(String(property), (calls.get(String(property)) ?? 0) + 1);
        if (isCut && property !== 'close') return Promise.reject(new DirectoryUnavailable('cut off'));
        return Reflect.apply(value, target, args);
      };
    },
  });
  return {
    directory: cutDirectory,
    calls,
    bell: {
      listen: (node, listener) => bell.listen(node, listener),
      ring: (node, ring) => (isCut ? Promise.resolve(true) : bell.ring(node, ring)),
      demand: (notice) => (isCut ? undefined : bell.demand(notice)),
      close: () => bell.close(),
    },
    async cut() {
      isCut = true;
      await bell.close();
    },
    mend() {
      isCut = false;
    },
  };
}
