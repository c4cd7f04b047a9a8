import { describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { ConfiguredRoutes } from '../../../../src/cluster/member/configured-routes.ts';
import type { RouteRecord, RouteSettings } from '../../../../src/config/route-settings.ts';

const silent = pino({ level: 'silent' });

describe('configured routes', () => {
  test('tells only what has changed, and the first time also that there is none', async () => {
    const stored = new Map<string, RouteRecord>();
    const told: (readonly string[])[] = [];
    const routes = new ConfiguredRoutes(
      async () => stored,
      (all) => told.push([...all.keys()]),
      silent,
    );
    await routes.load();
    await routes.load();
    stored.set('b', {}).set('a', { maxInstances: 2 });
    await routes.load();
    await routes.load();
    expect(told).toEqual([[], ['b', 'a']]);
  });

  test('one with bad settings is left out and does not harm the others', async () => {
    const stored = new Map<string, RouteRecord>([
      ['bad', { holdTimeout: 'soon' }],
      ['good', { holdTimeout: '2s' }],
    ]);
    let found: ReadonlyMap<string, RouteSettings> = new Map();
    await new ConfiguredRoutes(
      async () => stored,
      (all) => (found = all),
      silent,
    ).load();
    expect([...found.keys()]).toEqual(['good']);
    expect(found.get('good')?.holdTimeoutMs).toBe(2_000);
  });

  test('a change during a load is not missed', async () => {
    const reads = [Promise.withResolvers<Map<string, RouteRecord>>(), Promise.withResolvers<Map<string, RouteRecord>>()];
    let read = 0;
    const told: (readonly string[])[] = [];
    const routes = new ConfiguredRoutes(
      async () => (await reads[read++]?.promise) ?? new Map(),
      (all) => told.push([...all.keys()]),
      silent,
    );
    const loading = routes.load();
    const second = routes.load();
    reads[0]?.resolve(new Map());
    reads[1]?.resolve(new Map([['new', {}]]));
    await second;
    await loading;
    expect(told).toEqual([[], ['new']]);
  });

  test('when reading fails the routes stay what they were', async () => {
    let fails = false;
    const told: number[] = [];
    const read = async () => {
      if (fails) throw new Error('away');
      return new Map([['a', {}]]);
    };
    const routes = new ConfiguredRoutes(read, (all) => told.push(all.size), silent);
    await routes.load();
    fails = true;
    await expect(routes.load()).rejects.toThrow('away');
    fails = false;
    await routes.load();
    expect(told).toEqual([1]);
  });
});
