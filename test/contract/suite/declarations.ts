import { describe, expect, test } from '@jest/globals';
import type { Declarations, DeclarationsFile } from '../../../src/cluster/declarations.ts';
import { eventually } from '../../support/eventually.ts';
import type { TestMember, World } from '../world.ts';

const route = 'app.example.com';

/** A file in memory. */
class RememberedFile implements DeclarationsFile {
  saved: Declarations | null;
  aside: Declarations[] = [];

  constructor(saved: Declarations | null = null) {
    this.saved = saved;
  }

  read(): Declarations | null {
    return this.saved;
  }

  save(declarations: Declarations): void {
    this.saved = declarations;
  }

  putAside(declarations: Declarations): string {
    this.aside.push(declarations);
    return 'aside';
  }
}

export function declarations(world: () => World): void {
  const settings = async (name = route): Promise<unknown> => world().observer.route(name);
  const knows = (member: TestMember, maxInstances: number | undefined) =>
    member.hears('routes', ({ routes }) => routes.get(route)?.maxInstances === maxInstances);

  describe('what operators declared', () => {
    test('outlives the loss of the directory, with the word that was the newest', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      await world().observer.setRoute(route, { maxInstances: 2 });
      await world().observer.setRoute(route, { maxInstances: 3 });
      await Promise.all([knows(a, 3), knows(b, 3)]);
      a.forget();
      await world().backing.lose();
      await eventually('restored', async () => (await settings()) !== null);
      expect(await settings()).toEqual({ maxInstances: 3 });
      expect(a.all('routes').filter(({ routes }) => routes.get(route)?.maxInstances !== 3)).toEqual([]);
    });

    test('a deletion is not undone by a node that was cut off when it was made', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      await world().observer.setRoute(route, { maxInstances: 2 });
      await Promise.all([knows(a, 2), knows(b, 2)]);
      await a.kill();
      b.forget();
      await world().observer.setRoute(route, null);
      await b.hears('routes', ({ routes }) => routes.size === 0);
      await world().backing.lose();
      await eventually('b gave the deletion back', async () => (await world().observer.declarations()).all.length === 1);
      a.revive();
      a.forget();
      await a.hears('routes', ({ routes }) => routes.size === 0, 10_000);
      expect(await settings()).toBeNull();
    });

    test('what is said to a directory that was lost a moment ago is newer than all that nodes bring back', async () => {
      const file = new RememberedFile({
        cluster: 'c1',
        // By a clock that was an hour ahead.
        highest: Date.now() + 3_600_000,
        all: [{ kind: 'settings', name: route, value: '{"maxInstances":9}', version: Date.now() + 3_600_000 }],
      });
      await world().observer.setRoute(route, { maxInstances: 4 });
      const a = await world().joinWith('a', { file });
      await knows(a, 4);
      expect(await settings()).toEqual({ maxInstances: 4 });
      expect(file.saved).toMatchObject({ cluster: 'c1', all: [{ name: route, value: '{"maxInstances":4}' }] });
    });

    test('outlives the loss of the directory and of all nodes where one has kept it in a file', async () => {
      const file = new RememberedFile();
      const a = await world().joinWith('a', { file });
      await world().observer.setRoute(route, { maxInstances: 5 });
      await world().observer.setRoute('gone.example.com', {});
      await world().observer.setRoute('gone.example.com', null);
      await eventually('kept', () => file.saved?.all.length === 2 && file.saved.all.some(({ value }) => value === null));
      await a.kill();
      await world().backing.lose();
      await world().join('new');
      expect(await settings()).toBeNull();
      await world().joinWith('b', { file });
      await eventually('restored', async () => (await settings()) !== null);
      expect([...(await world().observer.routes())]).toEqual([[route, { maxInstances: 5 }]]);
    });

    test('two clusters never mix: a node follows the one of its directory, and keeps what it knew of the other one', async () => {
      const first = new RememberedFile({ cluster: 'first', highest: 5, all: [] });
      await world().joinWith('a', { file: first });
      await eventually('named', async () => (await world().observer.declarations()).cluster === 'first');
      await world().observer.setRoute(route, { maxInstances: 1 });
      const other = { kind: 'settings', name: 'other.example.com', value: '{}', version: 7 } as const;
      const second = new RememberedFile({ cluster: 'second', highest: 7, all: [other] });
      const b = await world().joinWith('b', { file: second });
      await knows(b, 1);
      expect([...(await world().observer.routes()).keys()]).toEqual([route]);
      expect(second.aside).toEqual([{ cluster: 'second', highest: 7, all: [other] }]);
      expect(second.saved).toMatchObject({ cluster: 'first' });
    });

    test('the routes of a configuration file are there again after a loss, unless an operator deleted them', async () => {
      const asserted = new Map([[route, { maxInstances: 2 }]]);
      await world().joinWith('a', { asserted });
      await eventually('asserted', async () => (await settings()) !== null);
      await world().observer.setRoute(route, { maxInstances: 7 });
      await world().backing.lose();
      await eventually('there again', async () => (await settings()) !== null);
      await world().observer.setRoute(route, null);
      await world().joinWith('b', { asserted });
      expect(await settings()).toBeNull();
    });
  });
}
