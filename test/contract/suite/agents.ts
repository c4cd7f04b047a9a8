import { describe, expect, test } from '@jest/globals';
import { DEAD_AFTER_MS } from '../../../src/cluster/limits.ts';
import { eventually } from '../../support/eventually.ts';
import type { World } from '../world.ts';

const route = 'app.example.com';
const ofKey = `${route}~alice`;

/** Agents of a route, and the starts that they are given. */
export function agents(world: () => World): void {
  const directory = () => world().observer.agents;

  describe('starts for agents', () => {
    test('go to the agent with the most room, by their node, until no agent has any', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      await a.cluster.agents.announce(route, 'a', [
        { id: 'one', room: 1 },
        { id: 'none', room: 0 },
      ]);
      await b.cluster.agents.announce(route, 'b', [{ id: 'three', room: 3 }]);
      expect(await directory().room(route)).toEqual({ agents: 3, room: 4 });
      const given = [];
      for (const startId of ['s1', 's2', 's3', 's4', 's5']) given.push(await directory().give(route, startId, []));
      expect(given.slice(0, 2)).toEqual(['three', 'three']);
      expect(given.slice(2, 4).toSorted()).toEqual(['one', 'three']);
      expect(given[4]).toBeNull();
      expect(await directory().room(route)).toEqual({ agents: 3, room: 0 });
      expect(await b.hears('given')).toMatchObject({ route, startId: 's1', agent: 'three' });
      await a.hears('given', ({ agent }) => agent === 'one');
    });

    test('of a key go to the agents of its route', async () => {
      const a = await world().join('a');
      await a.cluster.agents.announce(route, 'a', [{ id: 'one', room: 2 }]);
      expect(await directory().room(ofKey)).toEqual({ agents: 1, room: 2 });
      expect(await directory().give(ofKey, 's1', [])).toBe('one');
      expect(await a.hears('given')).toMatchObject({ route: ofKey, startId: 's1', agent: 'one' });
      await a.cluster.agents.answer(ofKey, 's1', 'one', 'taken');
      expect(await directory().given(ofKey, 's1')).toBe('taken');
    });

    test('are answered by the agent that has them, and by no other one', async () => {
      const a = await world().join('a');
      await a.cluster.agents.announce(route, 'a', [
        { id: 'one', room: 2 },
        { id: 'two', room: 1 },
      ]);
      expect(await directory().give(route, 's1', [])).toBe('one');
      expect(await directory().given(route, 's1')).toBe('open');
      await a.cluster.agents.answer(route, 's1', 'two', 'taken');
      expect(await directory().given(route, 's1')).toBe('open');
      await a.cluster.agents.answer(route, 's1', 'one', 'refused');
      expect(await directory().given(route, 's1')).toBe('refused');
      expect(await directory().give(route, 's1', ['one'])).toBe('two');
      await a.cluster.agents.answer(route, 's1', 'one', 'taken');
      expect(await directory().given(route, 's1')).toBe('open');
      await directory().forget(route, 's1');
      await a.cluster.agents.answer(route, 's1', 'two', 'taken');
      expect(await directory().given(route, 's1')).toBe('open');
    });

    test('that are given back are no start any more, and a failure only where one is said', async () => {
      const { observer } = world();
      await world().join('a');
      await observer.beginStarts(route, ['s1', 's2'], 60_000, await observer.startPlan(route));
      expect(await observer.startPlan(route)).toMatchObject({ starting: 2, trouble: null });
      await directory().giveBack(route, 's1', null);
      await directory().giveBack(route, 'unknown', 'of no start');
      expect(await observer.startPlan(route)).toMatchObject({ starting: 1, trouble: null });
      await directory().giveBack(route, 's2', 'it ended');
      expect(await observer.startPlan(route)).toMatchObject({ starting: 0, trouble: { failures: 1, reason: 'it ended' } });
    });
  });

  describe('an agent', () => {
    test('is seen in the picture of its route with what it says of itself, those that failed last first', async () => {
      const { observer } = world();
      const [a, b] = [await world().join('a'), await world().join('b')];
      await observer.setRoute(route, { maxInstances: 3 });
      const seen = async () => (await observer.snapshot()).routes.find(({ name }) => name === route)?.agents;
      expect(await seen()).toBeUndefined();
      const one = { running: 3, starting: 1, least: 1, most: 5, machine: 'host1' };
      const failed = { running: 0, failure: { reason: 'exit 3: "no" → file', ageMs: 1_200 } };
      await a.cluster.agents.announce(route, 'a', [
        { id: 'one', room: 2, facts: one },
        { id: 'silent', room: 4 },
      ]);
      await b.cluster.agents.announce(route, 'b', [{ id: 'two', room: 1, facts: failed }]);
      expect(await seen()).toEqual({
        count: 3,
        room: 7,
        running: 3,
        starting: 1,
        shown: [
          { id: 'two', node: 'b', room: 1, ...failed },
          { id: 'one', node: 'a', room: 2, ...one },
          { id: 'silent', node: 'a', room: 4, running: 0 },
        ],
      });
      expect(await directory().give(route, 's1', ['silent'])).toBe('one');
      expect((await seen())?.shown[1]).toEqual({ id: 'one', node: 'a', room: 1, ...one });
      await b.cluster.agents.announce(route, 'b', []);
      await a.cluster.agents.announce(route, 'a', []);
      expect(await seen()).toBeUndefined();
    });

    test('is there as long as its node says so, and at the last node that has said it', async () => {
      const [a, b] = [await world().join('a'), await world().join('b')];
      await a.cluster.agents.announce(route, 'a', [{ id: 'one', room: 5 }]);
      await b.cluster.agents.announce(route, 'b', [{ id: 'one', room: 2 }]);
      await a.cluster.agents.announce(route, 'a', []);
      expect(await directory().room(route)).toEqual({ agents: 1, room: 2 });
      await b.cluster.agents.announce(route, 'b', []);
      expect(await directory().room(route)).toEqual({ agents: 0, room: 0 });
    });

    test('of which nobody speaks any more gets no start', async () => {
      const a = await world().join('a');
      await a.cluster.agents.announce(route, 'a', [{ id: 'one', room: 5 }]);
      await eventually('it is forgotten', async () => (await directory().room(route)).agents === 0, 10 * DEAD_AFTER_MS);
      expect(await directory().give(route, 's1', [])).toBeNull();
    });
  });
}
