/** What is wrong now, in words: a pure function of one picture of the cluster. The page, the API and the command line say the same. */
import type { InternalErrors } from '../boundary.ts';
import type { NodeSnapshot } from '../cluster/cluster.ts';
import type { ClusterState } from './admin-source.ts';
import { routeTroubles } from './route-troubles.ts';
import type { Trouble, TroubleContext } from './trouble.ts';
import { about, counted, firstLine } from './words.ts';

const LATE_HEARTBEAT_MS = 2_000;
const REASON_CHARS_MAX = 160;
/** An internal error is shown for so long after it happened last. */
const INTERNAL_ERROR_SHOWN_MS = 15 * 60_000;
/** What was found in Redis longer ago is history. */
const LATE_MS = 3_600_000;
const ORDER = { error: 0, warning: 1, note: 2 } as const;

/** The worst first. */
export function findTroubles(state: ClusterState, context: TroubleContext): readonly Trouble[] {
  const { nodes, routes, redis } = state;
  const held = new Map(routes.map((route) => [route.name, route.held]));
  return [
    ...(redis.connected === false ? [redisAway(state.node)] : []),
    ...(context.redisRefusal === null ? [] : [redisRefuses(context.redisRefusal)]),
    ...Object.entries(context.internalErrors).flatMap(([where, errors]) => internalErrorsAt(where, errors, state.node)),
    ...routes.flatMap((route) => routeTroubles(route, context)),
    ...nodes.flatMap(nodeTroubles),
    ...versions(nodes),
    ...noScaler(state, context),
    ...leftOut(state, context),
  ].sort((a, b) => ORDER[a.severity] - ORDER[b.severity] || (held.get(b.route ?? '') ?? 0) - (held.get(a.route ?? '') ?? 0));
}

function redisAway(node: string | null): Trouble {
  const what = node === null ? 'What is shown may be old' : `What is shown is what ${node} knows of itself`;
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
    advice: 'Nothing is registered and nothing is started until it takes writes again. Is it full (maxmemory), or a replica?',
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
      advice: `A fault in pullproxy. Only what it happened in has ended, the rest goes on. The log has its stack ("where":"${where}"): please report it.`,
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
        advice: 'After 3 s it counts as dead, and the others go on without it.',
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
      advice: 'It takes nobody in, answers those who are there, and ends.',
    },
  ];
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
      advice: 'That is fine during an upgrade.',
    },
  ];
}

/** Somebody else writes into this Redis. What was found there lately is worth a word, what it was `inspect` shows. */
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
      advice: 'What was there before is said anew by the nodes. Who else writes into this Redis? "pullproxy inspect" shows what was found.',
    },
  ];
}

/** Said of a route already where clients wait for it. */
function noScaler({ routes, redis }: ClusterState, { startedBy, jobs }: TroubleContext): Trouble[] {
  if (startedBy !== 'scalers' || redis.connected === false || jobs?.scalers !== 0 || routes.some(({ held }) => held > 0)) return [];
  return [
    {
      severity: 'note',
      code: 'no_scaler',
      route: null,
      node: null,
      text: 'no scaler is there',
      advice: 'Instances are not started by themselves: pullproxy scaler --redis URL -- CMD ARG...',
    },
  ];
}
