import { describe, expect, test } from '@jest/globals';
import { DEFAULT_ROUTE_SETTINGS } from '../../../src/config/route-settings.ts';
import { ConfigError } from '../../../src/errors.ts';
import { deaf, type World } from '../world.ts';

export function configuredRoutes(world: () => World): void {
  describe('configured routes', () => {
    test('a node that joins gets those that are there, none included', async () => {
      const a = await world().join('a');
      expect((await a.hears('routes')).routes).toEqual(new Map());
      await world().observer.setRoute('app.example.com', { maxInstances: 3, holdTimeout: '5s' });
      const b = await world().join('b');
      expect((await b.hears('routes')).routes).toEqual(
        new Map([['app.example.com', { ...DEFAULT_ROUTE_SETTINGS, maxInstances: 3, holdTimeoutMs: 5_000 }]]),
      );
    });

    test('a change reaches all nodes at once, whoever makes it', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      await a.cluster.setRoute('*.example.com', { minInstances: 1 });
      await Promise.all(
        [a, b].map((member) => member.hears('routes', ({ routes }) => routes.get('*.example.com')?.minInstances === 1, 1_000)),
      );
      a.forget();
      await world().observer.setRoute('*.example.com', null);
      await a.hears('routes', ({ routes }) => routes.size === 0, 1_000);
      expect(await world().observer.routes()).toEqual(new Map());
    });

    test('a change whose message was lost is noticed', async () => {
      const a = await world().join('a', deaf);
      await world().observer.setRoute('app.example.com', { minInstances: 2 });
      await a.hears('routes', ({ routes }) => routes.get('app.example.com')?.minInstances === 2, 10_000);
    });

    test('they are kept as they were written', async () => {
      const { observer } = world();
      await observer.setRoute('app.example.com', { holdTimeout: '5s' });
      expect(await observer.route('app.example.com')).toEqual({ holdTimeout: '5s' });
      expect(await observer.route('other.example.com')).toBeNull();
      expect([...(await observer.routes()).keys()]).toEqual(['app.example.com']);
    });

    test('bad settings are refused and change nothing', async () => {
      const a = await world().join('a');
      await expect(a.cluster.setRoute('app.example.com', { holdTimeout: 'soon', colour: 'red' })).rejects.toThrow(ConfigError);
      expect(await world().observer.route('app.example.com')).toBeNull();
    });

    test('a configured route is in the picture although nobody is there', async () => {
      await world().observer.setRoute('app.example.com', {});
      expect((await world().observer.snapshot()).routes).toEqual([
        expect.objectContaining({ name: 'app.example.com', held: 0, active: 0, slots: 0, free: 0, starting: 0, instances: [] }),
      ]);
    });
  });
}
