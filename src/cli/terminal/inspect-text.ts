import type { Trouble } from '../../admin/trouble.ts';
import { about, counted, number } from '../../admin/words.ts';
import type { Dump, Stored } from '../../cluster/redis/inspect/dump.ts';
import type { Finding } from '../../cluster/redis/inspect/finding.ts';
import { type Meaning, meaningOf, ROUTE_PARTS } from '../../cluster/redis/inspect/meaning.ts';
import { printableAll } from '../../printable.ts';
import { type Paint, plain } from './paint.ts';
import { troubleLines } from './status-text.ts';
import { type Column, cut, table } from './table.ts';

export interface Inspection {
  readonly dump: Dump;
  readonly findings: readonly Finding[];
  /** The troubles, as `status` says them. */
  readonly troubles?: readonly Trouble[];
  /** The route to show in full; null: all of them, in short. */
  readonly route: string | null;
}

interface Row {
  readonly key: string;
  readonly stored: Stored;
  readonly meaning: Meaning | null;
}

const ENTRIES_SHOWN = 20;
const ROUTES_SHOWN = 50;
/** A larger number is a time: ms since the epoch. */
const MOMENT = 1e12;
/** Columns of the table of routes. */
const COUNTED_PARTS = ['held', 'promised', 'free', 'instances', 'starting', 'nodes'];

const KEYS: readonly Column<Row>[] = [
  { title: 'KEY', read: ({ key }) => key },
  { title: 'TYPE', read: ({ stored }) => stored.type, spare: 1 },
  { title: 'ENTRIES', read: ({ stored }) => stored.size },
  { title: 'EXPIRES', read: ({ stored }) => expiry(stored), spare: 2 },
  { title: 'WHAT IT IS', read: ({ meaning }) => meaning?.what ?? 'unknown' },
];

/** The content of Redis for people, at most `width` columns wide. Findings come last, so that they stay on the screen. */
export function inspectionText(inspection: Inspection, width: number, paint: Paint = plain): string {
  const { dump, findings, route, troubles = [] } = printableAll(inspection);
  const rows = [...dump.keys].map(([key, stored]) => ({ key, stored, meaning: meaningOf(key) }));
  const shown = route === null ? overview(rows, width, paint) : routeInFull(route, rows, dump.now, width, paint);
  return [
    summary(dump, rows),
    '',
    ...shown,
    ...troubles.flatMap((trouble) => troubleLines(trouble, width, paint)),
    ...told(findings, width, paint),
  ].join('\n');
}

function summary({ info }: Dump, rows: readonly Row[]): string {
  const version = info.get('redis_version');
  const memory = info.get('used_memory_human');
  return `Redis ${version ?? 'of unknown version'}${memory === undefined ? '' : `, ${memory} used`}: ${counted(rows.length, 'key')} of pullproxy's`;
}

function overview(rows: readonly Row[], width: number, paint: Paint): string[] {
  const of = (group: Meaning['of']): Row[] => rows.filter(({ meaning }) => meaning?.of === group);
  const queue = of('queue').filter(({ meaning }) => meaning?.part !== '');
  const jobs = of('queue').length - queue.length;
  // One of the hundred buckets of the history says what they are.
  const buckets = of('cluster').filter(({ meaning }) => meaning?.part === 'history');
  const cluster = of('cluster').filter((row) => !buckets.includes(row) || row === buckets.at(-1));
  const more = buckets.length > 1 ? [`  and ${counted(buckets.length - 1, 'older bucket')} of the history`] : [];
  return [
    ...section('The cluster and its nodes', KEYS, [...cluster, ...of('node')], width, paint, more),
    ...routes(of('route'), width, paint),
    ...section(`The queue of startup jobs, and ${counted(jobs, 'key')} of its own`, KEYS, queue, width, paint),
    ...section(
      'Unknown',
      KEYS,
      rows.filter(({ meaning }) => meaning === null),
      width,
      paint,
    ),
  ];
}

function routes(rows: readonly Row[], width: number, paint: Paint): string[] {
  const names = [...new Set(rows.map(({ meaning }) => meaning?.name ?? ''))];
  if (names.length === 0) return [paint('bold', 'Routes'), '  nothing is registered at any', ''];
  const sizes = new Map(rows.map(({ key, stored }) => [key, sizeOf(key, stored)]));
  const columns: Column<string>[] = [
    { title: 'ROUTE', read: (name) => name },
    ...COUNTED_PARTS.map(
      (part, at): Column<string> => ({
        title: part.toUpperCase(),
        read: (name) => sizes.get(`pp:{${name}}:${part}`) ?? 0,
        spare: at < 3 ? 0 : at,
      }),
    ),
  ];
  const more =
    names.length > ROUTES_SHOWN ? [`  and ${number(names.length - ROUTES_SHOWN)} more; "pullproxy inspect ROUTE" shows one`] : [];
  const parts = Object.entries(ROUTE_PARTS).map(([part, [type, , what]]) => ({ part, type, what }));
  return [
    ...section('Routes: the keys pp:{ROUTE}:PART', columns, names.slice(0, ROUTES_SHOWN), width, paint, more),
    ...section(
      'What the parts are',
      [
        { title: 'PART', read: ({ part }) => part },
        { title: 'TYPE', read: ({ type }) => type },
        { title: 'WHAT IT IS', read: ({ what }) => what },
      ],
      parts,
      width,
      paint,
    ),
  ];
}

/** For idle slots the sum says more than the number of nodes. */
function sizeOf(key: string, { size, entries }: Stored): number {
  return key.endsWith(':free') ? [...entries.values()].reduce((sum, count) => sum + Number(count), 0) : size;
}

function routeInFull(route: string, rows: readonly Row[], now: number, width: number, paint: Paint): string[] {
  const own = rows.filter(({ meaning }) => meaning?.of === 'route' && meaning.name === route);
  const settings = rows.find(({ key }) => key === 'pp:routes')?.stored.entries.get(route);
  return [
    `${paint('bold', route)}: ${settings === undefined ? 'it has no settings' : `settings ${settings}`}`,
    '',
    ...(own.length === 0 ? ['Nothing is registered: no node, no client, no instance.', ''] : []),
    ...own.flatMap(({ key, stored, meaning }) => [
      `${paint('bold', key)}  ${stored.type} of ${number(stored.size)}, ${expiry(stored)}`,
      paint('dim', cut(`  ${meaning?.what ?? ''}`, width)),
      ...[...stored.entries]
        .slice(0, ENTRIES_SHOWN)
        .map(([entry, value]) => `    ${cut(`${entry}  ${readable(value, now)}`.trimEnd(), width - 4)}`),
      ...(stored.entries.size > ENTRIES_SHOWN ? [`    and ${number(stored.entries.size - ENTRIES_SHOWN)} more`] : []),
      '',
    ]),
  ];
}

function told(findings: readonly Finding[], width: number, paint: Paint): string[] {
  if (findings.length === 0) return [paint('green', 'Nothing contradicts itself.')];
  return findings.flatMap(({ severity, key, what, advice }) => [
    paint(severity === 'broken' ? 'red' : 'yellow', cut(`${severity === 'broken' ? '✗' : '!'} ${key}: ${what}`, width)),
    paint('dim', cut(`  ${advice}`, width)),
  ]);
}

function section<Of>(
  title: string,
  columns: readonly Column<Of>[],
  rows: readonly Of[],
  width: number,
  paint: Paint,
  more: readonly string[] = [],
): string[] {
  if (rows.length === 0) return [];
  return [paint('bold', title), ...table(columns, rows, width - 2, paint).map((line) => `  ${line}`), ...more, ''];
}

function expiry({ expiresInMs }: Stored): string {
  return expiresInMs === null ? 'never' : `in ${about(expiresInMs)}`;
}

/** Shows times as ages. */
function readable(value: string, now: number): string {
  const moment = Number(value);
  if (value === '' || !Number.isFinite(moment) || moment < MOMENT) return value;
  return moment > now ? `in ${about(moment - now)}` : `${about(now - moment)} ago`;
}
