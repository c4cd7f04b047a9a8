import { describe, expect, test } from '@jest/globals';
import { type Directory, DirectoryUnavailable } from '../../../../src/cluster/directory.ts';
import { BURIAL_TRIES_MAX, BURIALS_MAX } from '../../../../src/cluster/limits.ts';
import { Burials } from '../../../../src/cluster/member/burials.ts';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';
import type { Log } from '../../../../src/log.ts';

const GONE = 'the entries of a dead node could not be removed: they lapse within minutes';
const NOTED = 'a node stopped beating: removing its entries';

function begin(changes: Partial<Directory> = {}) {
  const said: string[] = [];
  const done: string[] = [];
  const directory = Object.assign(new MemoryDirectory(), {
    routesOf: async () => ['one', 'two'],
    leaveRoute: async (route: string) => done.push(route) > 0,
    removeNode: async () => void done.push('removed'),
    ...changes,
  });
  const write = (_: object, message: string): void => void said.push(message);
  const burials = new Burials(directory, { warn: write, info: write, error: write } as unknown as Log);
  return { burials, said, done };
}

describe('what dead nodes have left', () => {
  test('is removed once at each route, and then the node is forgotten', async () => {
    const { burials, said, done } = begin();
    burials.add('n1');
    await burials.run();
    await burials.run();
    expect(done).toEqual(['one', 'two', 'removed']);
    expect(said).toEqual([NOTED]);
  });

  test('is removed later where the directory did not answer, or the node was heard a moment before', async () => {
    let calls = 0;
    const { burials, said, done } = begin({
      routesOf: async () => (++calls === 1 ? Promise.reject(new DirectoryUnavailable('away')) : ['one']),
      leaveRoute: async () => calls > 3,
    });
    burials.add('n1');
    for (let i = 0; i < 4; i++) {
      expect(done).toEqual([]);
      await burials.run();
    }
    expect(done).toEqual(['removed']);
    expect(said).toEqual([NOTED]);
  });

  test('stays when the node is back', async () => {
    const { burials, done } = begin({ leaveRoute: async () => false, isListed: async () => true });
    burials.add('n1');
    for (let i = 0; i < 3; i++) await burials.run();
    expect(done).toEqual([]);
  });

  test('is given up and said after some tries, and so many nodes wait at most', async () => {
    let tries = 0;
    const { burials, said } = begin({
      routesOf: async () => {
        tries++;
        throw new DirectoryUnavailable('away');
      },
    });
    for (let i = 0; i <= BURIALS_MAX; i++) burials.add(`n${i}`);
    for (let i = 0; i < BURIAL_TRIES_MAX + 3; i++) await burials.run();
    expect(tries).toBe(BURIALS_MAX * BURIAL_TRIES_MAX);
    expect(said.filter((line) => line === GONE)).toHaveLength(BURIALS_MAX);
  });
});
