/** All troubles of now, in words: a pure function of one state of the cluster. The page, the API and the command line say the same. */
import type { InternalErrors } from '../boundary.ts';
import type { MissingNode, NodeSnapshot, RouteSnapshot } from '../cluster/cluster.ts';
import { hasKey, routeOf } from '../config/route-key.ts';
import { DEFAULT_ROUTE_SETTINGS } from '../config/route-settings.ts';
import type { ClusterState } from './admin-source.ts';
import { eventTroubles } from './event-troubles.ts';
import { ofTheirRoutes } from './folded-keys.ts';
import { routeTroubles } from './route-troubles.ts';
import type { Trouble, TroubleContext } from './trouble.ts';
import { about, counted, firstLine, number, startRateText } from './words.ts';

const LATE_HEARTBEAT_MS = 2_000;
const REASON_CHARS_MAX = 160;
/** How long an internal error is shown after it happened last. */
const INTERNAL_ERROR_SHOWN_MS = 15 * 60_000;
/** Older findings in Redis are history. */
const LATE_MS = 3_600_000;
const ORDER = { error: 0, warning: 1, note: 2 } as const;

/** The worst first. */
export function findTroubles(state: ClusterState, context: TroubleContext): readonly Trouble[] {
  const { nodes, redis } = state;
  const routes = ofTheirRoutes(state.routes);
  const keys = Map.groupBy(
    routes.filter(({ name }) => hasKey(name)),
    ({ name }) => routeOf(name),
  );
  const held = new Map(routes.map((route) => [route.name, route.held]));
  return [
    ...(redis.connected === false ? [redisAway(state.node)] : []),
    ...(context.redisRefusal === null ? [] : [redisRefuses(context.redisRefusal)]),
    ...Object.entries(context.internalErrors).flatMap(([where, errors]) => internalErrorsAt(where, errors, state.node)),
    ...worstKeys(routes.flatMap((route) => routeTroubles(route, context))),
    ...routes.flatMap((route) => keysFull(route, keys)),
    ...startsWait(state, context),
    ...answers5xx(nodes),
    ...nodes.flatMap(nodeTroubles),
    ...versions(nodes),
    ...noScaler(state, context),
    ...leftOut(state, context),
    ...(state.missing ?? []).map(missingNode),
    ...eventTroubles(context.events.events, context.events.now),
  ].sort((a, b) => ORDER[a.severity] - ORDER[b.severity] || (held.get(b.route ?? '') ?? 0) - (held.get(a.route ?? '') ?? 0));
}

/** A thousand keys may have the same trouble: of each route the one of the key that is worst is said, and how many others have it. */
function worstKeys(troubles: readonly Trouble[]): Trouble[] {
  const ofKey = ({ route }: Trouble): boolean => hasKey(route ?? '');
  const alike = Map.groupBy(troubles.filter(ofKey), ({ route, code }) => `${routeOf(route ?? '')} ${code}`);
  return [...troubles.filter((trouble) => !ofKey(trouble)), ...[...alike.values()].flatMap(worstOf)];
}

function worstOf(alike: readonly Trouble[]): Trouble[] {
  const [worst, ...others] = alike.toSorted((a, b) => ORDER[a.severity] - ORDER[b.severity]);
  if (worst === undefined) return [];
  const more = others.length === 0 ? '' : ` (and ${counted(others.length, 'other key')})`;
  return [{ ...worst, route: routeOf(worst.route ?? ''), text: `${worst.text}${more}` }];
}

function keysFull({ name, settings }: RouteSnapshot, keys: ReadonlyMap<string, readonly RouteSnapshot[]>): Trouble[] {
  if (settings?.key === undefined || hasKey(name)) return [];
  const awake = keys.get(name)?.length ?? 0;
  const most = Number(settings.maxKeys ?? DEFAULT_ROUTE_SETTINGS.maxKeys);
  if (awake < most) return [];
  return [
    {
      severity: 'warning',
      code: 'keys_full',
      route: name,
      node: null,
      text: `${name}: ${counted(awake, 'key')} awake, and no more may be: a request for another one gets a 503`,
      advice: 'Raise maxKeys, or say by keyPattern and keyCheck which keys there are: strangers may invent them.',
    },
  ];
}

function redisAway(node: string | null): Trouble {
  const what = node === null ? 'This state may be old' : `This state is only what ${node} knows itself`;
  return {
    severity: 'error',
    code: 'redis_away',
    route: null,
    node: null,
    text: 'Redis does not answer',
    advice: `${what}. Requests that find a slot at their node go on; no slot moves between nodes and nothing is started until Redis is back.`,
  };
}

function redisRefuses(reason: string): Trouble {
  return {
    severity: 'error',
    code: 'redis_refuses',
    route: null,
    node: null,
    text: `Redis answers and refuses to write: ${firstLine(reason, REASON_CHARS_MAX)}`,
    advice: 'Nothing is registered and nothing is started until Redis accepts writes again. Is it full (maxmemory), or a replica?',
  };
}

function internalErrorsAt(where: string, { count, ageMs, message }: InternalErrors, node: string | null): Trouble[] {
  if (ageMs > INTERNAL_ERROR_SHOWN_MS) return [];
  const at = node === null ? 'this process' : `node ${node}`;
  return [
    {
      severity: 'error',
      code: 'internal_error',
      route: null,
      node,
      text: `${at}: ${counted(count, 'internal error')} (${where}), the last one ${about(ageMs)} ago: ${firstLine(message, REASON_CHARS_MAX)}`,
      advice: `A fault in pullproxy. It ended only the request, connection or job in which it happened. The log has its stack ("where":"${where}"): please report it.`,
    },
  ];
}

function nodeTroubles({ id, heartbeatAgeMs, draining }: NodeSnapshot): Trouble[] {
  if (heartbeatAgeMs > LATE_HEARTBEAT_MS) {
    return [
      {
        severity: 'warning',
        code: 'late_heartbeat',
        route: null,
        node: id,
        text: `node ${id}: last heartbeat ${about(heartbeatAgeMs)} ago`,
        advice: 'After 3 s it counts as dead, and the other nodes go on without it.',
      },
    ];
  }
  if (!draining) return [];
  return [
    {
      severity: 'note',
      code: 'draining',
      route: null,
      node: id,
      text: `node ${id} is draining`,
      advice: 'It accepts no new clients, serves the ones that it has, and ends.',
    },
  ];
}

/** Fewer responses are too few to conclude anything. */
const FAILED_MIN = 5;
const FAILED_SHARE_WARNING = 0.05;
const FAILED_SHARE_ERROR = 0.5;

/** Over all nodes; each tells the routes that are worst at it. */
function answers5xx(nodes: readonly NodeSnapshot[]): Trouble[] {
  const sums = new Map<string, { all: number; failed: number }>();
  for (const { route, all, failed } of nodes.flatMap(({ failing }) => failing ?? [])) {
    const before = sums.get(route) ?? { all: 0, failed: 0 };
    sums.set(route, { all: before.all + all, failed: before.failed + failed });
  }
  return [...sums].flatMap(([route, { all, failed }]) => {
    if (failed < FAILED_MIN || failed < all * FAILED_SHARE_WARNING) return [];
    return [
      {
        severity: failed >= all * FAILED_SHARE_ERROR ? ('error' as const) : ('warning' as const),
        code: 'answers_5xx',
        route,
        node: null,
        text: `${route}: ${number(failed)} of ${counted(all, 'answer')} in the last half minute were 5xx`,
        advice:
          'Is it the application, or are instances missing? The access log has who answered and why; the log of the application has the rest.',
      },
    ];
  });
}

function missingNode({ id, address, ageMs, held, active, links }: MissingNode): Trouble {
  const had = `${counted(held, 'held client')}, ${counted(active, 'request')} and ${counted(links, 'link')}`;
  return {
    severity: 'warning',
    code: 'node_missing',
    route: null,
    node: id,
    text: `node ${id} is missing since ${about(ageMs)} ago, with ${had}`,
    advice: `It was killed, or is cut off from Redis; the others go on. Is its machine up${address === '' ? '' : ` (${address})`}? If it does not come back: "pullproxy forget ${id}".`,
  };
}

function versions(nodes: readonly NodeSnapshot[]): Trouble[] {
  const found = [...new Set(nodes.map(({ version }) => version))].sort();
  if (found.length < 2) return [];
  return [
    {
      severity: 'note',
      code: 'versions',
      route: null,
      node: null,
      text: `nodes of ${found.length} versions: ${found.join(', ')}`,
      advice: 'This is normal during an upgrade.',
    },
  ];
}

/** Something else writes into this Redis. Recent findings are a trouble; `inspect` shows them. */
function leftOut({ aside = [] }: ClusterState, { now }: TroubleContext): Trouble[] {
  const late = aside.filter(({ at }) => now - at < LATE_MS);
  const [first] = late.toSorted((a, b) => b.at - a.at);
  if (first === undefined) return [];
  const more = late.length === 1 ? '' : ` (and ${counted(late.length - 1, 'thing')} more)`;
  return [
    {
      severity: 'warning',
      code: 'redis_garbage',
      route: null,
      node: null,
      text: firstLine(`in Redis ${first.where} could not be used: ${first.what}${more}`, 2 * REASON_CHARS_MAX),
      advice:
        'The nodes write the missing entries again. Find out what else writes into this Redis: "pullproxy inspect" shows what was found.',
    },
  ];
}

/** Startup jobs wait for so long only if scalers take fewer than come. */
const JOB_WAITS_MS = 5_000;

/** Without a scaler all jobs wait, and another trouble says so. */
function startsWait({ redis }: ClusterState, { jobs }: TroubleContext): Trouble[] {
  const rate = jobs?.rate ?? null;
  if (rate === null || redis.connected === false || jobs?.scalers === 0 || rate.waiting === 0 || rate.oldestMs < JOB_WAITS_MS) return [];
  const { fixed, slowed, waiting, oldestMs } = rate;
  return [
    {
      severity: 'warning',
      code: 'starts_wait',
      route: null,
      node: null,
      text: `${counted(waiting, 'startup job')} ${waiting === 1 ? 'waits' : 'wait'} for a scaler, the oldest for ${about(oldestMs)}, at ${startRateText(rate)}`,
      advice: fixed
        ? 'A scaler has --rate: without it the rate follows what the scheduler takes. Commands that take long need a higher --parallel, or more scalers.'
        : slowed
          ? 'Starts of several routes have failed, so fewer begin at once; the rate grows again as they link. The output of the commands is under Startup jobs.'
          : 'The scalers are busy with commands: raise --parallel, or run more scalers.',
    },
  ];
}

/** Left out when a route with waiting clients says it already. */
function noScaler({ routes, redis }: ClusterState, { startedBy, jobs }: TroubleContext): Trouble[] {
  if (startedBy !== 'scalers' || redis.connected === false || jobs?.scalers !== 0 || routes.some(({ held }) => held > 0)) return [];
  return [
    {
      severity: 'note',
      code: 'no_scaler',
      route: null,
      node: null,
      text: 'there is no scaler',
      advice: 'Without a scaler no instance is started: pullproxy scaler --redis URL -- CMD ARG...',
    },
  ];
}
