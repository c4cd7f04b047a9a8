/** The purpose of each key. */

export interface Meaning {
  /** The part of the cluster that it belongs to. */
  readonly of: 'cluster' | 'node' | 'route' | 'queue';
  /** The node or route; empty for keys of the whole cluster. */
  readonly name: string;
  /** The last part of a route's key. */
  readonly part: string;
  readonly type: string;
  /** Whether it should expire when no node renews it. */
  readonly expires: boolean;
  readonly what: string;
}

type Row = readonly [type: string, expires: boolean, what: string];

/** The keys `pp:{<route>}:<part>`, in the order in which people ask. */
export const ROUTE_PARTS: Readonly<Record<string, Row>> = {
  held: ['zset', true, 'clients that wait, NODE:HOLD, by arrival'],
  promised: ['zset', true, 'held clients with a slot on its way, and when that promise lapses'],
  holders: ['hash', true, 'the number of held clients of each node'],
  free: ['hash', true, 'idle slots at each node that are not promised'],
  serving: ['hash', true, 'clients that each node serves now'],
  instances: ['hash', true, 'linked instances, as their home nodes describe them'],
  starting: ['zset', true, 'starts in progress, and when each counts as failed'],
  begun: ['zset', true, 'when the last starts began'],
  jobs: ['hash', true, 'when the jobs of the last starts were taken'],
  ended: ['hash', true, 'how starts ended that no scaler has counted yet'],
  nodes: ['zset', true, 'nodes with entries here, and their last beat'],
  peers: ['hash', true, 'the addresses of these nodes'],
  asks: ['hash', true, 'held client → line, share and cost that it asks for'],
  lined: ['zset', true, 'line, arrival and held client: the order inside each line'],
  lines: ['zset', true, 'line of held clients → its place in the order'],
  ranked: ['zset', true, 'held client → urgency and arrival'],
  agents: ['hash', true, 'agents that are linked: NODE ROOM, when that was said, and what each says of itself'],
  given: ['hash', true, 'starts that were given to agents, and what these have answered'],
  revision: ['string', true, 'moves when nodes that rest here are to send a beat'],
  meta: ['hash', true, 'what is remembered of instances and starts: concurrency, failures, restarts'],
};

const CLUSTER: Readonly<Record<string, Row>> = {
  'pp:nodes': ['zset', false, 'all nodes, and the last beat of each'],
  'pp:routes': ['hash', false, 'settings of routes, as they were written'],
  'pp:{pp:routes}:about': ['hash', false, 'of declarations: the name of the cluster, and the highest version'],
  'pp:{pp:routes}:versions': ['hash', false, 'of declarations: versions, deleted ones with -'],
  'pp:{pp:routes}:pauses': ['hash', false, 'paused routes, as JSON: since when, until when'],
  'pp:events': ['stream', false, 'the event log: "pullproxy events" shows it'],
  'pp:missing': ['hash', false, 'nodes that stopped beating and did not come back'],
  'pp:aside': ['hash', true, 'values of other keys that could not be used'],
  'pp:loss': ['string', true, 'Redis has lost its data a moment ago; nothing is started until all nodes have written theirs again'],
};

const QUEUE: Readonly<Record<string, Row>> = {
  wait: ['list', false, 'jobs that wait for a scaler'],
  active: ['list', false, 'jobs that run at a scaler'],
  delayed: ['zset', false, 'jobs that are tried again later'],
  prioritized: ['zset', false, 'jobs in an order of their own'],
  failed: ['zset', false, 'jobs that failed'],
  completed: ['zset', false, 'jobs that are done'],
  events: ['stream', false, 'events of jobs, for listeners'],
  meta: ['hash', false, 'settings of the queue'],
  id: ['string', false, 'the last number given to a job'],
};

/** Null: not one of ours, as far as this version knows. */
export function meaningOf(key: string): Meaning | null {
  const cluster = Object.hasOwn(CLUSTER, key) ? CLUSTER[key] : undefined;
  if (cluster !== undefined) return meaning('cluster', '', '', cluster);
  const node = /^pp:node:([^:]+)(:routes)?$/.exec(key);
  if (node !== null) {
    const row: Row =
      node[2] === undefined ? ['hash', true, 'what the node says about itself'] : ['set', true, 'routes at which the node has entries'];
    return meaning('node', node[1] ?? '', node[2] === undefined ? '' : 'routes', row);
  }
  if (/^pp:\{pp:history\}:\d+$/.test(key))
    return meaning('cluster', '', 'history', ['hash', true, 'what nodes have counted within half a minute, for charts']);
  const place = /^pp:\{([^{}]+)\}:place:/.exec(key);
  if (place !== null)
    return meaning('route', place[1] ?? '', 'place', [
      'string',
      true,
      'somebody who looks at the waiting page has taken a place in the line again',
    ]);
  const route = /^pp:\{([^{}]+)\}:(\w+)$/.exec(key);
  if (route?.[2] === 'keys')
    return meaning('route', route[1] ?? '', 'keys', ['zset', true, 'keys of the route that are awake, and until when']);
  const part = Object.hasOwn(ROUTE_PARTS, route?.[2] ?? '') ? ROUTE_PARTS[route?.[2] ?? ''] : undefined;
  if (route !== null) return part === undefined ? null : meaning('route', route[1] ?? '', route[2] ?? '', part);
  if (key.startsWith('pp:aside:')) return meaning('cluster', '', 'aside', ['', true, 'it was in the place of a key of another type']);
  return key.startsWith('{pp-bull}:') ? queueMeaning(key) : null;
}

function queueMeaning(key: string): Meaning {
  const part = key.replace(/^\{pp-bull\}:startup:?/, '');
  const known = Object.hasOwn(QUEUE, part) ? QUEUE[part] : undefined;
  if (known !== undefined) return meaning('queue', '', part, known);
  if (part.startsWith('de:'))
    return meaning('queue', part.slice(3), 'de', ['string', false, 'the job with which further orders for the route are merged']);
  if (part.endsWith(':lock')) return meaning('queue', part.slice(0, -5), 'lock', ['string', true, 'a scaler works on the job']);
  // The rest is the queue's own business, and differs from version to version.
  return meaning('queue', '', '', ['', false, 'a job, or what the queue itself keeps']);
}

function meaning(of: Meaning['of'], name: string, part: string, [type, expires, what]: Row): Meaning {
  return { of, name, part, type, expires, what };
}
