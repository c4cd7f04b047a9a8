/** Prometheus text, made at the time of the scrape from plain numbers. */
import { STATUS_CODES } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client';
import { PLACES } from '../boundary.ts';
import type { HistogramNumbers, MetricsSnapshot, RouteNumbers } from './metrics-source.ts';
import { RouteLabels } from './route-labels.ts';

/** The label of responses to requests without a route. */
const UNKNOWN = 'unknown';

/** A thousand routes have so many series each. The node counts in smaller buckets, of which these are sums. */
const REQUEST_BOUNDS: ReadonlySet<number> = new Set([0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60]);
const NO_OBSERVATIONS: HistogramNumbers = { bounds: [], counts: [0], sum: 0 };

type Labels = Readonly<Record<string, string | number>>;

interface Sample {
  readonly value: number;
  readonly labels: Labels;
  /** Differs from the metric's name in the parts of a histogram. */
  readonly metricName?: string;
}

/** The routes of the snapshot have the names of their labels. */
type Collect = (snapshot: MetricsSnapshot) => Sample[];

interface Definition {
  readonly name: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  readonly help: string;
  readonly collect: Collect;
}

const DEFINITIONS: readonly Definition[] = [
  routeGauge('pullproxy_held', 'Clients that wait for a slot at this node', ({ held }) => held),
  routeGauge('pullproxy_active', 'Requests (TCP: connections) in progress through this node', ({ active }) => active),
  routeGauge('pullproxy_slots', 'Slots lent to this node, idle or in use', ({ slots }) => slots),
  routeGauge('pullproxy_free_slots', 'Idle slots at this node', ({ free }) => free),
  routeGauge('pullproxy_instances', 'Instances whose home is this node', ({ instances }) => instances),
  routeGauge('pullproxy_starting', 'Instances being started, in the whole cluster', ({ starting }) => starting),
  routeGauge('pullproxy_agents', 'Agents that are linked to this node (linker --instances); absent: none', ({ agents }) => agents?.count),
  routeGauge('pullproxy_agent_room', 'So many more instances they can start', ({ agents }) => agents?.room),
  routeGauge('pullproxy_agent_instances', 'Their instances, those that start or leave included', ({ agents }) => agents?.running),
  {
    name: 'pullproxy_agent_starts_total',
    type: 'counter',
    help: 'Starts that were given to agents of this node, by their answers: failed comes after taken',
    collect: ({ routes }) =>
      routes.flatMap(({ name, counts }) =>
        [...(counts.agentStarts ?? [])].map(([result, value]) => ({ value, labels: { route: name, result } })),
      ),
  },
  routeGauge('pullproxy_paused', 'Whether the route is paused, as this node knows it; absent: it is not', ({ paused }) =>
    paused === true ? 1 : undefined,
  ),
  routeGauge(
    'pullproxy_overload_wait_seconds',
    'How long clients wait at most in an overload, 0 without one; absent: no client has left while it waited',
    ({ overloadMs }) => (overloadMs === undefined ? undefined : overloadMs / 1_000),
  ),
  {
    name: 'pullproxy_overload_refused_total',
    type: 'counter',
    help: 'Clients that got a 503 because of an overload',
    collect: ({ routes }) =>
      routes.flatMap(({ name, overloadMs, counts: { overloadRefused = 0 } }) =>
        overloadRefused === 0 && overloadMs === undefined ? [] : [{ value: overloadRefused, labels: { route: name } }],
      ),
  },
  {
    name: 'pullproxy_requests_total',
    type: 'counter',
    help: 'Responses by status code',
    collect: ({ routes, unrouted = new Map<number, number>() }) => [
      ...routes.flatMap(({ name, counts }) => (name === UNKNOWN ? [] : codeSamples(name, counts.codes))),
      // A route may have this name.
      ...codeSamples(UNKNOWN, unrouted, ...routes.filter(({ name }) => name === UNKNOWN).map(({ counts }) => counts.codes)),
    ],
  },
  routeHistogram('pullproxy_request_seconds', 'From the request to the end of its response, without tunnels', ({ counts }) =>
    coarser(counts.requests ?? NO_OBSERVATIONS),
  ),
  routeHistogram('pullproxy_hold_seconds', 'How long clients waited for a slot', ({ counts }) => counts.hold),
  routeHistogram(
    'pullproxy_hold_estimate_seconds',
    'How long clients were expected to wait when they came, of those who were served',
    ({ counts }) => counts.estimates ?? NO_OBSERVATIONS,
  ),
  routeHistogram(
    'pullproxy_hold_estimate_error_ratio',
    'By which share of the true wait such an estimate was wrong, either way; waits below 0.1 s are left out',
    ({ counts }) => counts.estimateErrors ?? NO_OBSERVATIONS,
  ),
  routeHistogram('pullproxy_cold_start_seconds', 'How long clients waited while no instance was ready', ({ counts }) => counts.coldStart),
  {
    name: 'pullproxy_cold_start_stage_seconds',
    type: 'histogram',
    help: 'Time of a cold start by stage, until the waiting client had the first byte of its response',
    collect: ({ routes }) =>
      routes.flatMap(({ name, counts }) =>
        Object.entries(counts.coldStages ?? {}).flatMap(([stage, numbers]) =>
          histogramSamples('pullproxy_cold_start_stage_seconds', { route: name, stage }, numbers),
        ),
      ),
  },
  {
    name: 'pullproxy_concurrency_changes_total',
    type: 'counter',
    help: 'Changes of the limits of instances whose home is this node, by who has set them',
    collect: ({ routes }) =>
      routes.flatMap(({ name, counts }) => [...(counts.limitChanges ?? [])].map(([by, value]) => ({ value, labels: { route: name, by } }))),
  },
  {
    name: 'pullproxy_concurrency_ignored_total',
    type: 'counter',
    help: 'What applications said about their limits and is no whole number',
    collect: ({ routes }) =>
      routes.flatMap(({ name, counts: { wordsIgnored = 0 } }) =>
        wordsIgnored === 0 ? [] : [{ value: wordsIgnored, labels: { route: name } }],
      ),
  },
  {
    name: 'pullproxy_affinity_total',
    type: 'counter',
    help: 'Requests of routes with affinity that prefer an instance: it served them (hit), another one did (miss), or it is not there any more (gone)',
    collect: ({ routes }) =>
      routes.flatMap(({ name, counts: { affinity } }) =>
        Object.entries(affinity ?? {}).flatMap(([result, value]) => (value === 0 ? [] : [{ value, labels: { route: name, result } }])),
      ),
  },
  {
    name: 'pullproxy_handoffs_total',
    type: 'counter',
    help: 'Idle slots moved to nodes that hold clients',
    collect: ({ handoffs }) => Object.entries(handoffs).map(([result, value]) => ({ value, labels: { result } })),
  },
  {
    name: 'pullproxy_startup_commands_total',
    type: 'counter',
    help: 'Startup commands run by this process',
    collect: ({ startupCommands }) =>
      [...(startupCommands ?? [])].flatMap(([name, results]) =>
        Object.entries(results).map(([result, value]) => ({ value, labels: { route: name, result } })),
      ),
  },
  {
    name: 'pullproxy_starts_total',
    type: 'counter',
    help: 'Starts of instances that ended, by outcome; each is counted by one scaler of the cluster',
    collect: ({ starts }) =>
      [...(starts ?? [])].flatMap(([name, outcomes]) =>
        Object.entries(outcomes).map(([outcome, value]) => ({ value, labels: { route: name, outcome } })),
      ),
  },
  startRateGauge(
    'pullproxy_start_rate',
    'Starts (with a fixed rate: startup jobs) that may begin in a second',
    ({ perSecond }) => perSecond,
  ),
  startRateGauge('pullproxy_starts_waiting', 'Startup jobs that no scaler has taken yet', ({ waiting }) => waiting),
  startRateGauge('pullproxy_starts_waiting_seconds', 'How long the oldest of them waits', ({ oldestMs }) => oldestMs / 1_000),
  {
    name: 'pullproxy_access_log_dropped_total',
    type: 'counter',
    help: 'Lines of the access log for which there was no room; absent without one',
    collect: ({ accessLogDropped }) => (accessLogDropped === undefined ? [] : [{ value: accessLogDropped, labels: {} }]),
  },
  {
    name: 'pullproxy_internal_errors_total',
    type: 'counter',
    help: 'Faults of pullproxy, each of which ended the one thing in which it happened',
    collect: ({ internalErrors = {} }) => Object.keys(PLACES).map((where) => ({ value: internalErrors[where] ?? 0, labels: { where } })),
  },
  {
    name: 'pullproxy_certificate_expiry_seconds',
    type: 'gauge',
    help: 'When the certificate in the file expires, in seconds since the epoch',
    collect: ({ certificates = new Map<string, number>() }) =>
      [...certificates].map(([file, at]) => ({ value: at / 1_000, labels: { file } })),
  },
  {
    name: 'pullproxy_events_total',
    type: 'counter',
    help: 'Warnings and errors that this process has said, by code: "pullproxy events" shows them',
    collect: ({ events = {} }) =>
      Object.entries(events).map(([key, value]) => {
        const [level = '', code = ''] = key.split(' ');
        return { value, labels: { level, code } };
      }),
  },
  {
    name: 'pullproxy_redis_commands_total',
    type: 'counter',
    help: 'Commands sent to Redis',
    collect: ({ redisCommands }) => [{ value: redisCommands, labels: {} }],
  },
  {
    name: 'pullproxy_redis_connected',
    type: 'gauge',
    help: 'Whether Redis is reachable; absent where none is configured',
    collect: ({ redisConnected }) => (redisConnected === null ? [] : [{ value: Number(redisConnected), labels: {} }]),
  },
  {
    name: 'pullproxy_redis_refuses',
    type: 'gauge',
    help: 'Whether Redis answers and refuses to write: full, or a replica; absent where none is configured',
    collect: ({ redisConnected, redisRefuses = false }) => (redisConnected === null ? [] : [{ value: Number(redisRefuses), labels: {} }]),
  },
];

export class Metrics {
  readonly #registry = new Registry();
  readonly #labels = new RouteLabels();
  readonly #read: () => Promise<MetricsSnapshot>;
  #snapshot: MetricsSnapshot = { routes: [], handoffs: {}, redisCommands: 0, redisConnected: null };

  /** `version` of pullproxy; without it nothing is said of the build. */
  constructor(read: () => Promise<MetricsSnapshot>, version?: string) {
    this.#read = read;
    collectDefaultMetrics({ register: this.#registry });
    // These gauges have names of counters.
    for (const what of ['handles', 'requests', 'resources']) this.#registry.removeSingleMetric(`nodejs_active_${what}_total`);
    if (version !== undefined) {
      const help = 'Always 1; the labels say which version of pullproxy, and of Node, this is';
      const labels = { version, nodeversion: process.versions.node };
      new Gauge({ name: 'pullproxy_build_info', help, labelNames: ['version', 'nodeversion'], registers: [this.#registry] }).set(labels, 1);
    }
    for (const { collect, ...definition } of DEFINITIONS) {
      // The classes of prom-client count by themselves and can't be set to a total or to buckets. For the registry a metric is an object
      // with these fields.
      const metric = {
        ...definition,
        aggregator: 'sum',
        get: async () => ({ ...definition, aggregator: 'sum', values: collect(this.#snapshot) }),
        reset: () => {},
      };
      this.#registry.registerMetric(metric as unknown as Metric);
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics at one moment. */
  async text(): Promise<string> {
    this.#snapshot = this.#labels.labelled(await this.#read());
    const texts: string[] = [];
    for (const { name } of this.#registry.getMetricsAsArray()) {
      texts.push(await this.#registry.getSingleMetricAsString(name));
      // Thousands of lines must not delay requests of clients.
      await setImmediate();
    }
    return `${texts.join('\n\n')}\n`;
  }
}

function routeGauge(name: string, help: string, read: (route: RouteNumbers) => number | undefined): Definition {
  const collect: Collect = ({ routes }) =>
    routes.flatMap((route) => {
      const value = read(route);
      return value === undefined ? [] : [{ value, labels: { route: route.name } }];
    });
  return { name, type: 'gauge', help, collect };
}

/** Each scaler has the numbers of the whole cluster. */
function startRateGauge(name: string, help: string, read: (rate: NonNullable<MetricsSnapshot['startRate']>) => number): Definition {
  const collect: Collect = ({ startRate }) => (startRate === undefined ? [] : [{ value: read(startRate), labels: {} }]);
  return { name, type: 'gauge', help: `${help}, in the whole cluster; at scalers`, collect };
}

function routeHistogram(name: string, help: string, read: (route: RouteNumbers) => HistogramNumbers): Definition {
  const collect: Collect = ({ routes }) => routes.flatMap((route) => histogramSamples(name, { route: route.name }, read(route)));
  return { name, type: 'histogram', help, collect };
}

/** The same observations in the buckets of REQUEST_BOUNDS. */
function coarser({ bounds, counts, sum }: HistogramNumbers): HistogramNumbers {
  const sums: number[] = [];
  let inBucket = 0;
  for (const [i, count] of counts.entries()) {
    inBucket += count;
    if (i < bounds.length && !REQUEST_BOUNDS.has(bounds[i] as number)) continue;
    sums.push(inBucket);
    inBucket = 0;
  }
  return { bounds: bounds.filter((bound) => REQUEST_BOUNDS.has(bound)), counts: sums, sum };
}

/** Nothing without observations: most of a thousand routes never had a cold start, and a histogram is 18 lines. */
function histogramSamples(name: string, labels: Labels, { bounds, counts, sum }: HistogramNumbers): Sample[] {
  if (counts.every((count) => count === 0)) return [];
  let total = 0;
  const buckets = [...bounds, '+Inf'].map((le, index) => {
    total += counts[index] ?? 0;
    return { value: total, labels: { ...labels, le }, metricName: `${name}_bucket` };
  });
  return [...buckets, { value: sum, labels, metricName: `${name}_sum` }, { value: total, labels, metricName: `${name}_count` }];
}

function codeSamples(route: string, ...all: readonly ReadonlyMap<number, number>[]): Sample[] {
  const sums = new Map<string, number>();
  for (const [code, count] of all.flatMap((codes) => [...codes])) {
    const label = codeLabel(code);
    sums.set(label, (sums.get(label) ?? 0) + count);
  }
  return [...sums].map(([code, value]) => ({ value, labels: { route, code } }));
}

/** Registered codes have a label of their own, and so has 499 (the client left first). Other codes are counted by class, `5xx`. */
function codeLabel(code: number): string {
  return code === 499 || STATUS_CODES[code] !== undefined ? String(code) : `${Math.floor(code / 100)}xx`;
}
