/** Prometheus text, made at the time of the scrape from plain numbers. */
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import type { HistogramNumbers, MetricsSnapshot, RouteNumbers } from './metrics-source.ts';

/** A label value costs memory in Prometheus for as long as it keeps data, and host names come from strangers. */
export const ROUTE_LABELS_MAX = 1000;
const OTHER = 'other';
/** Stands for answers to requests that belong to no route. */
const UNKNOWN = 'unknown';

type Labels = Readonly<Record<string, string | number>>;

interface Sample {
  readonly value: number;
  readonly labels: Labels;
  /** Differs from the metric's own for a histogram's parts. */
  readonly metricName?: string;
}

type Collect = (snapshot: MetricsSnapshot, labelOf: (route: string) => string) => Sample[];

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
  {
    name: 'pullproxy_requests_total',
    type: 'counter',
    help: 'Answers by status code',
    collect: ({ routes, unrouted }, labelOf) => [
      ...routes.flatMap(({ name, counts }) => codeSamples(labelOf(name), counts.codes)),
      ...codeSamples(UNKNOWN, unrouted ?? new Map()),
    ],
  },
  routeHistogram('pullproxy_hold_seconds', 'How long clients waited for a slot', ({ counts }) => counts.hold),
  routeHistogram('pullproxy_cold_start_seconds', 'How long clients waited while no instance was ready', ({ counts }) => counts.coldStart),
  {
    name: 'pullproxy_cold_start_stage_seconds',
    type: 'histogram',
    help: 'Where the time went until a client that waited for an instance to be started had the first byte of its answer',
    collect: ({ routes }, labelOf) =>
      routes.flatMap(({ name, counts }) =>
        Object.entries(counts.coldStages ?? {}).flatMap(([stage, numbers]) =>
          histogramSamples('pullproxy_cold_start_stage_seconds', { route: labelOf(name), stage }, numbers),
        ),
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
    collect: ({ startupCommands }, labelOf) =>
      [...(startupCommands ?? [])].flatMap(([name, results]) =>
        Object.entries(results).map(([result, value]) => ({ value, labels: { route: labelOf(name), result } })),
      ),
  },
  {
    name: 'pullproxy_access_log_dropped_total',
    type: 'counter',
    help: 'Lines of the access log for which there was no room; absent without one',
    collect: ({ accessLogDropped }) => (accessLogDropped === undefined ? [] : [{ value: accessLogDropped, labels: {} }]),
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

  constructor(read: () => Promise<MetricsSnapshot>) {
    this.#read = read;
    collectDefaultMetrics({ register: this.#registry });
    for (const { collect, ...definition } of DEFINITIONS) {
      // prom-client's own classes count for themselves and can't be set to a total or to buckets; to the registry a metric is what
      // has these fields.
      const metric = {
        ...definition,
        aggregator: 'sum',
        get: async () => ({ ...definition, aggregator: 'sum', values: addUp(collect(this.#snapshot, this.#labels.of)) }),
        reset: () => {},
      };
      this.#registry.registerMetric(metric as unknown as Metric);
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics, of one moment. */
  async text(): Promise<string> {
    this.#snapshot = await this.#read();
    this.#labels.keepOnly(this.#snapshot);
    return this.#registry.metrics();
  }
}

/** Gives the first routes a label of their own. A route keeps its label while it is there, so that its counters go on where they were. */
class RouteLabels {
  readonly #labels = new Map<string, string>();
  #own = 0;

  readonly of = (route: string): string => {
    const known = this.#labels.get(route);
    if (known !== undefined) return known;
    const label = this.#own < ROUTE_LABELS_MAX ? route : OTHER;
    if (label !== OTHER) this.#own++;
    this.#labels.set(route, label);
    return label;
  };

  keepOnly({ routes, startupCommands }: MetricsSnapshot): void {
    const present = new Set(routes.map(({ name }) => name));
    for (const [route, label] of this.#labels) {
      if (present.has(route) || startupCommands?.has(route)) continue;
      this.#labels.delete(route);
      if (label !== OTHER) this.#own--;
    }
  }
}

function routeGauge(name: string, help: string, read: (route: RouteNumbers) => number | undefined): Definition {
  const collect: Collect = ({ routes }, labelOf) =>
    routes.flatMap((route) => {
      const value = read(route);
      return value === undefined ? [] : [{ value, labels: { route: labelOf(route.name) } }];
    });
  return { name, type: 'gauge', help, collect };
}

function routeHistogram(name: string, help: string, read: (route: RouteNumbers) => HistogramNumbers): Definition {
  const collect: Collect = ({ routes }, labelOf) =>
    routes.flatMap((route) => histogramSamples(name, { route: labelOf(route.name) }, read(route)));
  return { name, type: 'histogram', help, collect };
}

function histogramSamples(name: string, labels: Labels, { bounds, counts, sum }: HistogramNumbers): Sample[] {
  let total = 0;
  const buckets = [...bounds, '+Inf'].map((le, index) => {
    total += counts[index] ?? 0;
    return { value: total, labels: { ...labels, le }, metricName: `${name}_bucket` };
  });
  return [...buckets, { value: sum, labels, metricName: `${name}_sum` }, { value: total, labels, metricName: `${name}_count` }];
}

function codeSamples(route: string, codes: ReadonlyMap<number, number>): Sample[] {
  return [...codes].map(([code, value]) => ({ value, labels: { route, code } }));
}

/** Several routes may share the label `other`; Prometheus refuses a scrape with the same labels twice. */
function addUp(samples: readonly Sample[]): Sample[] {
  const sums = new Map<string, Sample>();
  for (const sample of samples) {
    const key = `${sample.metricName ?? ''}\0${Object.values(sample.labels).join('\0')}`;
    const before = sums.get(key);
    sums.set(key, before === undefined ? sample : { ...sample, value: before.value + sample.value });
  }
  return [...sums.values()];
}
