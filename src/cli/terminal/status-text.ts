import type { AdminState, StartupJobSummary } from '../../admin/admin-state.ts';
import { failureReason } from '../../admin/start-failures.ts';
import type { Trouble } from '../../admin/trouble.ts';
import { about, counted, number, startRateText } from '../../admin/words.ts';
import type { AgentSnapshot, RouteSnapshot } from '../../cluster/cluster.ts';
import { parseRouteSettings } from '../../config/route-settings.ts';
import { printableAll } from '../../printable.ts';
import { type Paint, plain } from './paint.ts';
import { type Column, cut, table } from './table.ts';

const SIGNS = { error: ['✗', 'red'], warning: ['!', 'yellow'], note: ['·', 'dim'] } as const;
const BAR = 10;

/** The state of the cluster for people, at most `width` columns wide: troubles first. */
export function statusText(seen: AdminState, width: number, paint: Paint = plain): string {
  const state = printableAll(seen);
  const { routes, nodes, jobs, at } = state;
  const instances = routes.flatMap((route) =>
    [...route.instances].sort((a, b) => b.seq - a.seq).map((one) => ({ route: route.name, age: about(at - one.seq), ...one })),
  );
  const starts = routes.flatMap((route) => route.starts.map((start) => ({ route: route.name, ...start })));
  const agents = routes.flatMap((route) => (route.agents?.shown ?? []).map((agent) => ({ route: route.name, ...agent })));
  const section = <Row>(title: string, columns: readonly Column<Row>[], rows: readonly Row[], always = false): string[] => {
    if (rows.length === 0) return always ? [paint('bold', title), '  none', ''] : [];
    return [paint('bold', title), ...table(columns, rows, width - 2, paint).map((line) => `  ${line}`), ''];
  };
  return [
    cut(summary(state), width),
    ...state.troubles.flatMap((trouble) => troubleLines(trouble, width, paint)),
    '',
    ...section('Routes', ROUTES, routes, true),
    ...section('Nodes', NODES, nodes, true),
    ...section(
      'Startup jobs',
      jobColumns(at),
      jobs.filter((job) => job.state !== 'completed'),
    ),
    ...section('Agents', AGENTS, agents),
    ...section('Starting', STARTS, starts),
    ...section('Instances', INSTANCES, instances),
  ].join('\n');
}

function summary({ nodes, routes, scalers, startRate }: AdminState): string {
  const sum = (read: (route: RouteSnapshot) => number): number => routes.reduce((total, route) => total + read(route), 0);
  const parts = [
    `${number(sum(({ held }) => held))} held`,
    `${number(sum(({ active }) => active))} of ${counted(
      sum(({ slots }) => slots),
      'slot',
    )} busy`,
    counted(
      sum(({ instances }) => instances.length),
      'instance',
    ),
    `${number(sum(({ starting }) => starting))} starting`,
    counted(routes.length, 'route'),
    counted(nodes.length, 'node'),
    ...(scalers === null ? [] : [counted(scalers, 'scaler')]),
    ...(startRate === null || scalers === 0 ? [] : [startsText(startRate)]),
  ];
  return parts.join(', ');
}

function startsText(rate: NonNullable<AdminState['startRate']>): string {
  const { waiting, oldestMs } = rate;
  const wait = waiting === 0 ? '' : ` (${counted(waiting, 'job')} waiting, the oldest for ${about(oldestMs)})`;
  return `${startRateText(rate)}${wait}`;
}

export function troubleLines({ severity, text, advice }: Trouble, width: number, paint: Paint): string[] {
  const [sign, style] = SIGNS[severity];
  return [paint(style, `${sign} ${cut(text, width - 2)}`), ...(severity === 'note' ? [] : [paint('dim', `  ${cut(advice, width - 2)}`)])];
}

const ROUTES: readonly Column<RouteSnapshot>[] = [
  { title: 'ROUTE', read: nameAndState },
  { title: 'HELD', read: ({ held }) => held, style: ({ held }) => (held > 0 ? 'yellow' : null) },
  { title: 'OLDEST', read: ({ held, oldestHeldMs }) => (held === 0 ? '' : about(oldestHeldMs)), spare: 3 },
  { title: 'WAIT', read: ({ held, waitMs }) => (held === 0 || waitMs === null ? '' : about(waitMs)), spare: 6 },
  { title: 'ACTIVE', read: ({ active }) => active },
  { title: 'SLOTS', read: ({ slots }) => slots, spare: 4 },
  { title: 'FREE', read: ({ free }) => free },
  { title: 'INSTANCES', read: ({ instances }) => instances.length, spare: 1 },
  { title: 'STARTING', read: ({ starting }) => starting, style: ({ starting }) => (starting > 0 ? 'cyan' : null), spare: 2 },
  { title: 'AT MOST', read: mostInstances, spare: 5 },
];

function nameAndState({ name, paused, overload }: RouteSnapshot): string {
  if (paused !== null) return `${name} (paused)`;
  return overload === null ? name : `${name} (overloaded)`;
}

const NODES: readonly Column<AdminState['nodes'][number]>[] = [
  { title: 'NODE', read: ({ id }) => id },
  { title: 'ADDRESS', read: ({ address }) => address, spare: 1 },
  { title: 'HELD', read: ({ held }) => held },
  { title: 'ACTIVE', read: ({ active }) => active },
  { title: 'LINKS', read: ({ links }) => links, spare: 2 },
  {
    title: 'HEARTBEAT',
    read: ({ heartbeatAgeMs, draining }) => `${about(heartbeatAgeMs)} ago${draining ? ', draining' : ''}`,
    style: ({ heartbeatAgeMs, draining }) => (heartbeatAgeMs > 2_000 ? 'red' : draining ? 'yellow' : null),
  },
  { title: 'VERSION', read: ({ version }) => version, spare: 3 },
];

interface Instance {
  readonly id: string;
  readonly route: string;
  readonly age: string;
  readonly state: string;
  readonly node: string;
  readonly active: number;
  readonly concurrency: number;
  readonly setBy?: string;
}

const INSTANCES: readonly Column<Instance>[] = [
  { title: 'INSTANCE', read: ({ id }) => id },
  { title: 'ROUTE', read: ({ route }) => route },
  { title: 'NODE', read: ({ node }) => node, spare: 2 },
  { title: 'AGE', read: ({ age }) => age, spare: 1 },
  { title: 'STATE', read: ({ state }) => state, style: ({ state }) => (state === 'ready' ? 'green' : 'yellow') },
  { title: 'ACTIVE', read: ({ active }) => active },
  { title: 'OF', read: ({ concurrency }) => concurrency },
  { title: 'SET BY', read: ({ setBy }) => setBy ?? '', spare: 1 },
  { title: 'BUSY', read: bar, spare: 3 },
];

const AGENTS: readonly Column<AgentSnapshot & { readonly route: string }>[] = [
  { title: 'AGENT', read: ({ id }) => id },
  { title: 'ROUTE', read: ({ route }) => route },
  { title: 'MACHINE', read: ({ machine }) => machine ?? '', spare: 2 },
  { title: 'NODE', read: ({ node }) => node, spare: 3 },
  { title: 'INSTANCES', read: ({ running }) => running },
  { title: 'STARTING', read: ({ starting }) => starting ?? '', style: ({ starting = 0 }) => (starting > 0 ? 'cyan' : null), spare: 4 },
  { title: 'MIN-MAX', read: ({ least, most }) => (least === undefined || most === undefined ? '' : `${least}-${most}`), spare: 5 },
  { title: 'ROOM', read: ({ room }) => room },
  {
    title: 'LAST START FAILED',
    read: ({ failure }) => (failure === undefined ? '' : `${about(failure.ageMs)} ago: ${failure.reason}`),
    style: ({ failure }) => (failure === undefined ? null : 'red'),
  },
];

const STARTS: readonly Column<{ readonly id: string; readonly route: string; readonly ageMs: number; readonly leftMs: number }>[] = [
  { title: 'START', read: ({ id }) => id },
  { title: 'ROUTE', read: ({ route }) => route },
  { title: 'AGE', read: ({ ageMs }) => about(ageMs) },
  { title: 'GIVEN UP IN', read: ({ leftMs }) => about(leftMs) },
];

function jobColumns(now: number): readonly Column<StartupJobSummary>[] {
  return [
    { title: 'ROUTE', read: ({ route }) => route },
    { title: 'STATE', read: ({ state }) => state, style: ({ state }) => (state === 'failed' || state === 'delayed' ? 'red' : 'cyan') },
    { title: 'TRIES', read: ({ attempts, attemptsMax }) => `${attempts} of ${attemptsMax}`, spare: 2 },
    { title: 'SINCE', read: ({ endedAt, beganAt, orderedAt }) => about(now - (endedAt ?? beganAt ?? orderedAt)) },
    { title: 'LAST FAILURE', read: ({ lastRun, failure }) => (lastRun?.failure ? failureReason(lastRun) : (failure ?? '')), spare: 1 },
  ];
}

function mostInstances({ settings }: RouteSnapshot): number | string {
  try {
    return parseRouteSettings(settings ?? {}).maxInstances;
  } catch {
    return '?';
  }
}

function bar({ active, concurrency }: Instance): string {
  const full = concurrency === 0 ? 0 : Math.round((BAR * Math.min(active, concurrency)) / concurrency);
  return '█'.repeat(full) + '░'.repeat(BAR - full);
}
