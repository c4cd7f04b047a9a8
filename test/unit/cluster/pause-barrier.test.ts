import { describe, expect, test } from '@jest/globals';
import type { Pause } from '../../../src/cluster/cluster.ts';
import { judge } from '../../../src/cluster/pause-barrier.ts';
import { leftMsOf, readPause, readPausedHere } from '../../../src/cluster/pauses.ts';

const route = 'app.test';
const pause: Pause = { id: 7, sinceMs: 1_000, untilMs: 61_000, tunnels: 'wait' };
const node = (id: string, inFlight: number, tunnels = 0, of = { route, id: 7 }) => ({ id, paused: [{ ...of, inFlight, tunnels }] });

describe('nothing is in flight', () => {
  test('when every node that beats has said so of this very pause', () => {
    expect(judge(route, pause, [node('a', 0), node('b', 0)], []).still).toEqual([]);
    expect(judge(route, pause, [], []).still).toEqual([]);
  });

  test.each([
    ['a node has something in flight', [node('a', 0), node('b', 2)], [], [{ node: 'b', why: 'in flight', count: 2 }]],
    ['a node says nothing', [node('a', 0), { id: 'b' }], [], [{ node: 'b', why: 'unheard', count: 0 }]],
    ['a node speaks of a pause before', [node('a', 0, 0, { route, id: 6 })], [], [{ node: 'a', why: 'unheard', count: 0 }]],
    ['a node speaks of another route', [node('a', 0, 0, { route: 'b.test', id: 7 })], [], [{ node: 'a', why: 'unheard', count: 0 }]],
    ['a tunnel is open', [node('a', 1, 1)], [], [{ node: 'a', why: 'in flight', count: 1 }]],
    ['a node was missed a moment ago', [], [{ id: 'c', ageMs: 4_999, active: 3 }], [{ node: 'c', why: 'silent', count: 3 }]],
  ])('not while %s', (_what, nodes, missing, still) => {
    expect(judge(route, pause, nodes, missing).still).toEqual(still);
  });

  test('when only tunnels are, and these are ignored', () => {
    const ignoring = { ...pause, tunnels: 'ignore' as const };
    expect(judge(route, ignoring, [node('a', 2, 2), node('b', 1, 1)], [])).toMatchObject({ still: [], tunnels: 3 });
    expect(judge(route, ignoring, [node('a', 3, 2)], []).still).toEqual([{ node: 'a', why: 'in flight', count: 1 }]);
  });

  test('when a node has been missing for so long that its links are gone', () => {
    expect(judge(route, pause, [], [{ id: 'c', ageMs: 5_000, active: 3 }]).still).toEqual([]);
  });
});

describe('a pause', () => {
  test.each([
    [1_000, 60_000],
    [31_000, 30_000],
    [61_000, 0],
    [99_000, 0],
    // The directory's clock was set back by an hour, or it is another directory.
    [1_000 - 3_600_000, 60_000],
  ])('at %d is left for %d ms', (now, left) => expect(leftMsOf(pause, now)).toBe(left));

  test.each([null, '', '7', '[]', '{}', '{"id":1}', '{"id":1,"sinceMs":2,"untilMs":1}', '{"id":-1,"sinceMs":1,"untilMs":2}'])(
    '%j is none',
    (json) => expect(readPause(json)).toBeNull(),
  );

  test('what is written by anybody is read with care', () => {
    expect(readPause('{"id":1,"sinceMs":1,"untilMs":2,"tunnels":"x"}')).toEqual({ id: 1, sinceMs: 1, untilMs: 2, tunnels: 'wait' });
    expect([null, 7, {}, { route: 'A B', id: 1, inFlight: 0 }, { route, id: 1, inFlight: -1 }].flatMap(readPausedHere)).toEqual([]);
    expect(readPausedHere({ route, id: 1, inFlight: 2 })).toEqual([{ route, id: 1, inFlight: 2, tunnels: 0 }]);
  });
});
