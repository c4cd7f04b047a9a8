import { describe, expect, test } from '@jest/globals';
import type { ClusterState } from '../../../../src/admin/admin-source.ts';
import { adminState } from '../../../../src/admin/admin-state.ts';
import { WaitWindow } from '../../../../src/admin/waits.ts';
import type { Paint } from '../../../../src/cli/terminal/paint.ts';
import { statusText } from '../../../../src/cli/terminal/status-text.ts';
import { table } from '../../../../src/cli/terminal/table.ts';
import { frame } from '../../../../src/cli/terminal/watch.ts';
import type { StartupJobs } from '../../../../src/scaling/startup-job.ts';
import { aJob, aNode, anInstance, aRoute, aRun, aState } from '../../../support/harness/pictures.ts';

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

  test('leaves out what can be spared, the largest number first', () => {
    const columns = [COLUMNS[0], { ...COLUMNS[1], spare: 1 }, { ...COLUMNS[2], spare: 2 }] as typeof COLUMNS;
    expect(table(columns, rows, 40)[0]).toBe('NAME                      COUNT');
    expect(table(columns, rows, 25)[0]).toBe('NAME');
  });

  test('stays readable in a room that is too narrow', () => {
    expect(table(COLUMNS, rows, 5)[2]).toBe('b         12345678  far-awa…');
  });
});

describe('status', () => {
  const at = 1_700_000_000_000;
  const THIS = {
    version: '1.2.3',
    startedBy: 'scalers',
    draining: false,
    routeDefaults: {},
    redisRefusal: null,
    internalErrors: {},
  } as const;
  const waits = new WaitWindow().add([], 0);
  const text = (picture: Partial<ClusterState>, jobs: StartupJobs | null, width: number, paint?: Paint) =>
    statusText(adminState(aState(picture), jobs, THIS, waits, { events: [], untold: [], now: at }, at), width, paint);

  test('says that nothing is there', () => {
    expect(text({ nodes: [] }, null, 80).split('\n')).toEqual([
      '0 held, 0 of 0 slots busy, 0 instances, 0 starting, 0 routes, 0 nodes',
      '',
      'Routes',
      '  none',
      '',
      'Nodes',
      '  none',
      '',
    ]);
  });

  const busy = {
    nodes: [aNode({ id: 'n1', held: 1, active: 2, links: 3, heartbeatAgeMs: 421 })],
    routes: [
      aRoute({
        name: 'app.example.com',
        held: 1,
        oldestHeldMs: 1_500,
        waitMs: 800,
        active: 4,
        slots: 10,
        free: 6,
        starting: 1,
        starts: [{ id: 's1', ageMs: 4_000, leftMs: 56_000 }],
        instances: [
          anInstance({ id: 'old', seq: at - 600_000, node: 'n1', state: 'draining' }),
          anInstance({ id: 'new', seq: at - 5_000, active: 4, node: 'n1' }),
        ],
      }),
    ],
  };
  const failing = aRun({ exitCode: 125, failure: 'it exited with 125', output: 'image not found' });
  const jobs = { scalers: 1, jobs: [aJob({ route: 'app.example.com', state: 'delayed', attempts: 1, runs: [failing] })] };

  test('shows what is wrong first, then what is there, instances newest first', () => {
    expect(text(busy, jobs, 120).split('\n')).toEqual([
      '1 held, 4 of 10 slots busy, 2 instances, 1 starting, 1 route, 1 node, 1 scaler',
      '✗ app.example.com: 1 client held, 1 start failed: exit 125, image not found',
      expect.stringMatching(/^ {2}Last tried /),
      '',
      'Routes',
      '  ROUTE            HELD  OLDEST  WAIT   ACTIVE  SLOTS  FREE  INSTANCES  STARTING  AT MOST',
      '  app.example.com     1  1.5 s   0.8 s       4     10     6          2         1       10',
      '',
      'Nodes',
      '  NODE  ADDRESS        HELD  ACTIVE  LINKS  HEARTBEAT  VERSION',
      '  n1    10.0.0.1:9080     1       2      3  0.4 s ago  1.2.3',
      '',
      'Startup jobs',
      '  ROUTE            STATE    TRIES   SINCE  LAST FAILURE',
      '  app.example.com  delayed  1 of 5  1.9 s  exit 125, image not found',
      '',
      'Starting',
      '  START  ROUTE            AGE  GIVEN UP IN',
      '  s1     app.example.com  4 s  56 s',
      '',
      'Instances',
      '  INSTANCE  ROUTE            NODE  AGE     STATE     ACTIVE  OF  SET BY  BUSY',
      '  new       app.example.com  n1    5 s     ready          4  10          ████░░░░░░',
      '  old       app.example.com  n1    10 min  draining       0  10          ░░░░░░░░░░',
      '',
    ]);
  });

  test.each([45, 60, 80])('fits a terminal of %d columns', (width) => {
    const lines = text(busy, jobs, width).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
    expect(lines.join('\n')).toMatch(/HELD .*\n +app\.exa/);
  });

  test('colours change nothing but the colours', () => {
    const coloured = text(busy, jobs, 120, (style, inside) => `<${style}>${inside}</>`);
    expect(coloured).toContain('<red>✗ app.example.com');
    expect(coloured.replaceAll(/<\/?\w*>/g, '')).toBe(text(busy, jobs, 120));
  });
});

describe('a screen', () => {
  test('is overwritten line by line, and never scrolls', () => {
    expect(frame('one\ntwo\n', 24)).toBe('\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J');
    const long = frame(Array.from({ length: 50 }, (_, i) => `line ${i}`).join('\n'), 10);
    expect(long.split('\n')).toHaveLength(10);
    expect(long).toContain('line 7\x1b[K\n… 42 more lines');
  });
});
