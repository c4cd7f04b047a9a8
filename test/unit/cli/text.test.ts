import { describe, expect, test } from '@jest/globals';
import { statusText } from '../../../src/cli/status-text.ts';
import { table } from '../../../src/cli/table.ts';

interface Row {
  readonly name: string;
  readonly count: number;
  readonly place: string;
}

const COLUMNS = [
  { title: 'NAME', read: (row: Row) => row.name },
  { title: 'COUNT', read: (row: Row) => row.count },
  { title: 'PLACE', read: (row: Row) => row.place },
];

describe('a table', () => {
  const rows = [
    { name: 'a-name-of-some-length', count: 5, place: 'here' },
    { name: 'b', count: 12_345_678, place: 'far-away-from-here' },
  ];

  test('has columns as wide as their content, numbers at the right', () => {
    expect(table(COLUMNS, rows, 100)).toEqual([
      'NAME                      COUNT  PLACE',
      'a-name-of-some-length         5  here',
      'b                      12345678  far-away-from-here',
    ]);
  });

  test('cuts its widest texts when there is no room, never a number', () => {
    const lines = table(COLUMNS, rows, 40);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(40);
    expect(lines).toEqual([
      'NAME               COUNT  PLACE',
      'a-name-of-som…         5  here',
      expect.stringMatching(/^b +12345678 {2}far-away-fr/),
    ]);
  });

  test('stays readable in a room that is too narrow', () => {
    expect(table(COLUMNS, rows, 5)[2]).toBe('b         12345678  far-awa…');
  });
});

describe('status', () => {
  test('says that nothing is there', () => {
    expect(statusText({ nodes: [], routes: [] }, 80)).toBe('Nodes\n  none\n\nRoutes\n  none\n\nInstances\n  none\n');
  });

  test('shows nodes, routes and instances', () => {
    const nodes = [{ id: 'n1', address: '10.0.0.1:9080', version: '1.2.3', heartbeatAgeMs: 421, held: 1, active: 2, links: 3 }];
    const instances = [{ id: 'i1', seq: 1, concurrency: 10, active: 4, node: 'n1', state: 'ready' as const }];
    const routes = [{ name: 'app.example.com', held: 1, active: 4, slots: 10, free: 6, starting: 2, instances }];
    expect(statusText({ nodes, routes }, 80).split('\n')).toEqual([
      'Nodes',
      '  NODE  ADDRESS        HELD  ACTIVE  LINKS  HEARTBEAT  VERSION',
      '  n1    10.0.0.1:9080     1       2      3  0.4s ago   1.2.3',
      '',
      'Routes',
      '  ROUTE            HELD  ACTIVE  SLOTS  FREE  INSTANCES  STARTING',
      '  app.example.com     1       4     10     6          1         2',
      '',
      'Instances',
      '  INSTANCE  ROUTE            STATE  ACTIVE  OF  NODE',
      '  i1        app.example.com  ready       4  10  n1',
      '',
    ]);
  });
});
