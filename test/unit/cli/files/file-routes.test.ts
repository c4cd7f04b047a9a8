import { describe, expect, test } from '@jest/globals';
import { FileRoutes } from '../../../../src/cli/files/file-routes.ts';
import type { ClusterSnapshot, RouteSnapshot } from '../../../../src/cluster/cluster.ts';
import { createLog } from '../../../../src/log.ts';

const log = createLog('test', 'silent');
const snapshot = async () => ({ nodes: [], routes: [] }) as unknown as ClusterSnapshot;
const ROUTE = {} as RouteSnapshot;

describe("the file's routes", () => {
  const routes = new Map([
    ['a', { maxHeld: '5' }],
    ['b', {}],
  ]);

  test('are set when the directory answers, each once', async () => {
    const set: unknown[] = [];
    let failures = 1;
    const cluster = {
      async setRoute(name: string, settings: unknown): Promise<void> {
        if (name === 'b' && failures-- > 0) throw new Error('no answer');
        set.push([name, settings]);
      },
    };
    await new FileRoutes(routes, { once: false }, log).setIn({ ...cluster, snapshot });
    expect(set).toEqual([
      ['a', { maxHeld: 5 }],
      ['b', {}],
    ]);
  });

  test('are given up when the node leaves', async () => {
    const file = new FileRoutes(routes, { once: false }, log);
    const cluster = {
      snapshot,
      async setRoute(): Promise<void> {
        void file.stop();
        throw new Error('no answer');
      },
    };
    await file.setIn(cluster);
  });

  test('of a later file: only what differs is set, and a route that is gone goes, unless it was changed elsewhere', async () => {
    const given = new Map<string, Record<string, unknown>>();
    const set: string[] = [];
    const cluster = {
      async setRoute(name: string, settings: Readonly<Record<string, unknown>> | null): Promise<void> {
        set.push(settings === null ? `-${name}` : name);
        if (settings === null) given.delete(name);
        else given.set(name, { ...settings });
      },
      snapshot: async () => ({ ...(await snapshot()), routes: [...given].map(([name, settings]) => ({ ...ROUTE, name, settings })) }),
    };
    const file = new FileRoutes(new Map([...routes, ['c', { maxHeld: '7' }], ['d', { maxHeld: '8' }]]), { once: false }, log);
    await file.setIn(cluster);
    given.set('d', { maxHeld: 9 });
    set.length = 0;
    const next = new Map([
      ['a', { maxHeld: 5 }],
      ['b', { maxHeld: 6 }],
    ]);
    const prepared = file.prepare({ routes: next });
    expect([...prepared.outcomes]).toEqual([['routes', 'changed']]);
    expect(set).toEqual([]);
    prepared.apply();
    await file.setIn(cluster);
    expect(set).toEqual(['b', '-c']);
    expect(Object.fromEntries(given)).toEqual({ a: { maxHeld: 5 }, b: { maxHeld: 6 }, d: { maxHeld: 9 } });
    expect([...file.asserted.keys()]).toEqual(['a', 'b']);
    expect([...file.prepare({ routes: next }).outcomes]).toEqual([['routes', 'unchanged']]);
  });
});
