import { describe, expect, test } from '@jest/globals';
import { HISTORY_BUCKETS_MAX } from '../../../src/cluster/history.ts';
import { demandChannel, nodeKey, nodeRoutesKey, nodesKey, routeKeys, routesKey } from '../../../src/cluster/redis/keys.ts';
import { SCRIPTS } from '../../../src/cluster/redis/scripts.ts';

/** What Redis hashes of a key: the part between the first `{` and the next `}`, if there is any between them. */
function hashed(key: string): string {
  return /^[^{]*\{([^}]+)\}/.exec(key)?.[1] ?? key;
}

describe('keys in Redis', () => {
  test('are plain text', () => {
    expect([nodesKey, routesKey, nodeKey('n1'), nodeRoutesKey('n1'), demandChannel]).toEqual([
      'pp:nodes',
      'pp:routes',
      'pp:node:n1',
      'pp:node:n1:routes',
      'pp:demand',
    ]);
    expect(routeKeys('app.example.com')).toEqual(
      [
        'nodes',
        'peers',
        'held',
        'holders',
        'promised',
        'free',
        'serving',
        'instances',
        'starting',
        'begun',
        'jobs',
        'meta',
        'ended',
        'asks',
        'lined',
        'lines',
        'ranked',
        'revision',
      ].map((part) => `pp:{app.example.com}:${part}`),
    );
  });

  test.each(['app.example.com', '*.example.com', '*', 'db'])('all keys of route %s are in one hash slot, its own', (route) => {
    expect(new Set(routeKeys(route).map(hashed))).toEqual(new Set([route]));
  });

  test.each(['', '{', 'a}b', '{}'])('a name that would scatter its keys is refused: %j', (route) => {
    expect(() => routeKeys(route)).toThrow(RangeError);
  });

  test('every script of a route takes all of the route’s keys', () => {
    const { beatNode, nodes, node, nodeRoutes, routes, aside, declarations, declare, restore, ...others } = SCRIPTS;
    const { pause, pauses, keys, history, historyRead, agents, giveStart, givenStart, snapshot, ...ofRoutes } = others;
    expect(Object.values(ofRoutes).map(({ numberOfKeys }) => numberOfKeys)).toEqual(
      Object.values(ofRoutes).map(() => routeKeys('r').length),
    );
    const ofOneKey = [beatNode, nodes, node, nodeRoutes, routes, aside, pauses, keys, history, agents, givenStart];
    expect(ofOneKey.map(({ numberOfKeys }) => numberOfKeys)).toEqual(ofOneKey.map(() => 1));
    expect(giveStart.numberOfKeys).toBe(2);
    expect(snapshot.numberOfKeys).toBe(routeKeys('r').length + 1);
    expect(historyRead.numberOfKeys).toBe(HISTORY_BUCKETS_MAX);
    expect([declarations, declare, restore, pause].map(({ numberOfKeys }) => numberOfKeys)).toEqual([4, 4, 4, 4]);
  });

  test('every script says its purpose, arguments and answer', () => {
    for (const { lua } of Object.values(SCRIPTS)) {
      expect(lua).toMatch(/^-- ARGV {5}/m);
      expect(lua).toMatch(/^-- returns {2}/m);
    }
  });
});
