import { describe, expect, test } from '@jest/globals';
import {
  LINKED_LOOKUPS_PER_SECOND_MAX,
  LINKED_NAMES_MAX,
  LINKED_NO_MS,
  LINKED_STALE_MS,
  LINKED_YES_MS,
} from '../../../../src/cluster/limits.ts';
import { LinkedRoutes } from '../../../../src/cluster/member/linked-routes.ts';

function setup(linked: ReadonlySet<string>) {
  const asked: string[] = [];
  const state = { now: 0, fails: false };
  const routes = new LinkedRoutes(
    async (name) => {
      asked.push(name);
      if (state.fails) throw new Error('away');
      return linked.has(name);
    },
    () => state.now,
  );
  return { routes, asked, state };
}

describe('linked routes', () => {
  test('the first linked name is found, whatever comes after it', async () => {
    const { routes } = setup(new Set(['*.example.com', '*']));
    expect(await routes.first(['app.example.com', '*.example.com', '*'])).toBe('*.example.com');
    expect(await routes.first(['app.example.org'])).toBeNull();
    expect(await routes.first([])).toBeNull();
  });

  test('a yes is believed for five seconds, a no for one', async () => {
    const { routes, asked, state } = setup(new Set(['yes']));
    await routes.first(['yes']);
    await routes.first(['no']);
    state.now = LINKED_NO_MS - 1;
    await routes.first(['no']);
    expect(asked).toEqual(['yes', 'no']);
    state.now = LINKED_NO_MS;
    await routes.first(['no']);
    state.now = LINKED_YES_MS - 1;
    await routes.first(['yes']);
    expect(asked).toEqual(['yes', 'no', 'no']);
    state.now = LINKED_YES_MS;
    await routes.first(['yes']);
    expect(asked).toHaveLength(4);
  });

  test('who asks for the same name at once is answered by one lookup', async () => {
    const { routes, asked } = setup(new Set(['a']));
    expect(await Promise.all([routes.first(['a']), routes.first(['a'])])).toEqual(['a', 'a']);
    expect(asked).toEqual(['a']);
  });

  test('a flood of names asks no more often than the bound, and known names still work', async () => {
    const { routes, asked, state } = setup(new Set(['known']));
    await routes.first(['known']);
    state.now = LINKED_YES_MS;
    for (let i = 0; i < 10_000; i++) await routes.first([`stranger${i}`]);
    expect(asked).toHaveLength(1 + LINKED_LOOKUPS_PER_SECOND_MAX);
    expect(await routes.first(['known'])).toBe('known');
    state.now += 1_000;
    expect(await routes.first(['stranger0'])).toBeNull();
    expect(asked).toHaveLength(2 + LINKED_LOOKUPS_PER_SECOND_MAX);
  });

  test('only so many names are remembered', async () => {
    const { routes, asked, state } = setup(new Set());
    for (let i = 0; i <= LINKED_NAMES_MAX; i++) {
      if (i % LINKED_LOOKUPS_PER_SECOND_MAX === 0) state.now += 1_000;
      await routes.first([`name${i}`]);
    }
    const before = asked.length;
    expect(before).toBe(LINKED_NAMES_MAX + 1);
    state.now += 1_000;
    await routes.first(['name0']);
    expect(asked).toHaveLength(before + 1);
  });

  test('while the directory is away a yes lasts for thirty seconds', async () => {
    const { routes, state } = setup(new Set(['a']));
    await routes.first(['a']);
    state.fails = true;
    state.now = LINKED_STALE_MS - 1;
    expect(await routes.first(['a'])).toBe('a');
    state.now = LINKED_STALE_MS;
    expect(await routes.first(['a'])).toBeNull();
  });
});
