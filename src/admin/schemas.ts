/**
 * JSON schemas of requests and responses. fastify writes responses by them (a property without a schema is not sent), and the
 * OpenAPI description is made of them.
 */
import { DEFAULT_ROUTE_SETTINGS, ROUTE_KEYS, writeRouteSettings } from '../config/route-settings.ts';

type Schema = Readonly<Record<string, unknown>>;

const described = (schema: Schema, description?: string): Schema => (description === undefined ? schema : { ...schema, description });
const text = (description?: string): Schema => described({ type: 'string' }, description);
const whole = (description?: string): Schema => described({ type: 'integer' }, description);
const decimal = (description?: string): Schema => described({ type: 'number' }, description);
const yesNo = (description?: string): Schema => described({ type: 'boolean' }, description);
const maybe = (schema: Schema): Schema =>
  '$ref' in schema ? { anyOf: [schema, { type: 'null' }] } : { ...schema, type: [schema.type, 'null'] };
const listOf = (items: Schema, description?: string): Schema => described({ type: 'array', items }, description);
const one = (of: readonly string[], description?: string): Schema => described({ type: 'string', enum: of }, description);
const ref = (id: string): Schema => ({ $ref: `${id}#` });
const mapOf = (values: Schema | true, description?: string): Schema =>
  described({ type: 'object', additionalProperties: values }, description);

/** All properties are required, and there are no others. */
function object($id: string, properties: Readonly<Record<string, Schema>>, description?: string, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { $id, ...described({ type: 'object' }, description), properties, required, additionalProperties: false };
}

const AGE = 'in ms';
const MOMENT = 'ms since the epoch';

const run = object('StartupRun', {
  startId: text(),
  count: whole('instances that it should start'),
  endedAt: whole(MOMENT),
  durationMs: whole(),
  exitCode: maybe(whole('null when a signal ended it, or it could not be run')),
  failure: maybe(text('what went wrong; null when it exited with 0')),
  output: text('the end of its output'),
});

const jobProperties = {
  id: text(),
  route: text(),
  state: one(['active', 'waiting', 'delayed', 'failed', 'completed'], 'delayed: it failed and will be tried again; failed: it will not'),
  attempts: whole('tries that have ended'),
  attemptsMax: whole(),
  forced: whole('instances asked for beyond the need of clients'),
  orderedAt: whole(MOMENT),
  beganAt: maybe(whole(`the last try: ${MOMENT}`)),
  endedAt: maybe(whole(MOMENT)),
  nextTryAt: maybe(whole(`approximate time of the next try: ${MOMENT}`)),
  failure: maybe(text('the failure of the last try')),
};

const routeProperties = {
  name: text('a host name, *.example.com for all hosts below it, * for any'),
  held: whole('clients that wait'),
  oldestHeldMs: { type: 'number', description: 'how long the oldest of them has waited, in ms' },
  waitMs: maybe(whole('about how long a client that comes now will wait for a slot, in ms; null when that is not known')),
  active: whole('requests (TCP: connections) in progress'),
  slots: whole('the sum of what ready instances take at once'),
  free: whole('idle ones among them that are not promised'),
  starting: whole('starts, and linked instances that are not ready yet'),
  starts: listOf(ref('Start'), 'oldest first'),
  instances: listOf(ref('Instance'), 'newest first'),
  settings: maybe(mapOf(true, 'as they are stored; null when the route is not configured')),
  trouble: maybe(ref('StartTrouble')),
  paused: maybe(ref('PausedRoute')),
  overload: maybe(ref('RouteOverload')),
  agents: ref('RouteAgents'),
  keysAwake: whole('of a route with keys: how many of them are awake'),
  keys: listOf(ref('Key'), 'those of them with the most held clients'),
};

export const SCHEMAS: readonly Schema[] = [
  object('Error', {
    error: {
      type: 'object',
      properties: { code: text('stable'), message: text('for people') },
      required: ['code', 'message'],
      additionalProperties: false,
    },
  }),
  object('Health', { ok: yesNo() }),
  object('Readiness', {
    draining: yesNo(),
    joined: yesNo('Redis has answered since the process began; true without one'),
    redis: ref('RedisReadiness'),
  }),
  object('RedisReadiness', {
    connected: maybe(yesNo('null when no Redis is configured')),
    refusal: maybe(text('why Redis refuses to write although it answers; null when it does not refuse')),
  }),
  object('Reloaded', {
    settings: listOf(ref('SettingReload'), 'every setting by its flag, and `routes`'),
  }),
  object('SettingReload', {
    name: text(),
    outcome: one(
      ['changed', 'unchanged', 'needs_restart'],
      'needs_restart: it is another one, and the former one counts until the process is restarted',
    ),
  }),
  object('Redis', { connected: maybe(yesNo('null when no Redis is configured')) }),
  object(
    'Start',
    {
      id: text(),
      ageMs: { type: 'number', description: 'since it began' },
      leftMs: { type: 'number', description: 'until it counts as failed' },
    },
    'starts that have not linked yet',
  ),
  object(
    'RouteAgents',
    {
      count: whole('agents that are linked: linker --instances'),
      room: whole('so many more instances all of them can start'),
      running: whole('their instances, those that start or leave included'),
      starting: whole('those of them that are not ready yet'),
      shown: listOf(ref('Agent'), 'those whose last start has failed come first; at most 100'),
    },
    'of a route that has agents',
  ),
  object(
    'Agent',
    {
      id: text(),
      node: text('where it is linked'),
      room: whole('so many more instances it can start'),
      running: whole('its instances'),
      starting: whole('those of them that are not ready yet'),
      least: whole('MIN of its --instances'),
      most: whole('MAX of its --instances'),
      machine: text('the name of its machine'),
      failure: ref('AgentFailure'),
    },
    undefined,
    ['starting', 'least', 'most', 'machine', 'failure'],
  ),
  object(
    'AgentFailure',
    { reason: text(), ageMs: whole() },
    'the last instance that it has started ended before it was ready, and none has become ready since',
  ),
  object('StartTrouble', {
    failures: whole('failures in a row, up to now'),
    reason: text('reason of the last one'),
    ageMs: { type: 'number', description: 'since then' },
    retryInMs: { type: 'number', description: 'until the next start is tried; 0: when one is missing' },
  }),
  object('PausedRoute', {
    sinceMs: whole('for how long it has been paused'),
    leftMs: whole('for how long it stays so'),
    inFlight: whole('requests and connections that are still in the application, over all nodes'),
  }),
  object(
    'RouteOverload',
    { waitMs: whole('nobody waits for longer; who would is refused') },
    'clients come faster than they are served, and leave',
  ),
  object('PauseOutcome', {
    name: text(),
    done: yesNo('nothing is in flight; false: `wait` has passed before, and the route stays paused'),
    leftMs: whole('for how long it stays paused'),
    still: listOf(ref('StillInFlight'), 'empty when it is done'),
    tunnels: whole('WebSockets and TCP connections that go on, where they are ignored'),
  }),
  object('StillInFlight', {
    node: text('empty: the instances have more than all nodes say'),
    why: one(
      ['in flight', 'unheard', 'silent'],
      'unheard: the node has yet to say that it knows the pause; silent: it stopped beating a moment ago',
    ),
    count: whole(),
  }),
  object(
    'Instance',
    {
      id: text(),
      seq: whole(`its number from the directory, about when it linked: ${MOMENT}; larger is newer`),
      concurrency: whole('how many requests its application takes at once now; 0: none'),
      setBy: one(['flag', 'header', 'control', 'auto'], 'who has set that, unless its linker is too old to say it'),
      active: whole('slots in use'),
      node: text('its home'),
      state: one(['starting', 'ready', 'paused', 'draining']),
      version: text('version of its linker, if the linker says it'),
      key: text('the key of its route for which it is, if the route has keys'),
    },
    undefined,
    ['version', 'setBy', 'key'],
  ),
  object('Key', {
    key: text(),
    held: whole('clients that wait'),
    active: whole(),
    slots: whole(),
    starting: whole(),
    instances: whole(),
  }),
  object('Route', routeProperties, undefined, ['agents', 'keysAwake', 'keys']),
  object('Node', {
    id: text(),
    address: text('its backend port'),
    version: text(),
    heartbeatAgeMs: { type: 'number', description: AGE },
    held: whole(),
    active: whole(),
    links: whole('linkers that are connected'),
    draining: yesNo(),
    holds: mapOf(whole(), 'waits for a slot that have ended, since the node started: upper bound in seconds → how many'),
    coldStarts: mapOf(whole(), 'the ones among them that began while no instance was ready'),
  }),
  object('Trouble', {
    severity: one(['error', 'warning', 'note']),
    code: text('stable'),
    route: maybe(text()),
    node: maybe(text()),
    text: text('one sentence'),
    advice: text('what happens by itself, and what to do'),
  }),
  run,
  object('StartupJob', { ...jobProperties, runs: listOf(ref('StartupRun'), 'oldest first; at most the last ten') }),
  object('StartupJobSummary', { ...jobProperties, runs: whole(), lastRun: maybe(ref('StartupRun')) }),
  object(
    'StartRate',
    {
      perSecond: decimal('starts that may begin in a second; with a fixed rate, startup jobs'),
      fixed: yesNo('a scaler has --rate N/DURATION'),
      slowed: yesNo('starts have failed lately, so fewer begin than at first'),
      waiting: whole('startup jobs that no scaler has taken yet; each is for one route'),
      oldestMs: whole('how long the oldest of them waits; 0 without one'),
    },
    'how fast starts begin in the whole cluster',
  ),
  object('StartupJobs', {
    jobs: listOf(ref('StartupJob'), 'running ones first'),
    scalers: maybe(whole('null when that is not known')),
    rate: maybe(ref('StartRate')),
  }),
  object('WaitsLately', {
    withinMs: whole('what counts as lately'),
    count: whole('clients'),
    p50Ms: maybe({ type: 'number', description: 'the median wait, approximately; null when there were none' }),
    p99Ms: maybe({ type: 'number' }),
  }),
  object(
    'Waits',
    { holds: ref('WaitsLately'), coldStarts: ref('WaitsLately') },
    'how long clients were held, since this process began to watch',
  ),
  object('State', {
    node: maybe(text('the node that answers; null when the process is not a node')),
    at: whole(`time of this state: ${MOMENT}`),
    version: text('of the process that answers'),
    draining: yesNo('the process that answers is leaving'),
    redis: ref('Redis'),
    startedBy: one(['scalers', 'this process', 'nobody'], 'who starts instances when clients wait'),
    routeDefaults: mapOf(true, "what holds where a route's settings say nothing"),
    scalers: maybe(whole('scalers that take startup jobs; null when that is not known')),
    startRate: maybe(ref('StartRate')),
    troubles: listOf(ref('Trouble'), 'what is wrong now, the worst first'),
    nodes: listOf(ref('Node')),
    routes: listOf(ref('Route')),
    jobs: listOf(ref('StartupJobSummary'), 'startup jobs: running ones first, then the last finished ones'),
    waits: ref('Waits'),
    lastEvent: maybe(text('the id of the last event of /api/v1/timeline; null when there is none')),
  }),
  object('Event', {
    id: text('later events have larger ids'),
    at: whole(`${MOMENT}, by the clock of Redis`),
    code: text('stable'),
    level: one(['error', 'warning', 'note']),
    source: text('who tells it: the id of a node, or the host of a scaler'),
    node: maybe(text()),
    route: maybe(text()),
    text: text('one sentence'),
    advice: text('what happens by itself, and what to do; empty when there is nothing to do'),
    count: whole('how often it happened since it was told last'),
  }),
  object('Timeline', { events: listOf(ref('Event'), 'oldest first') }),
  object('History', {
    route: maybe(text('null: all routes')),
    bucketMs: whole('length of the buckets in which nodes count'),
    now: whole(`${MOMENT}, by the clock of Redis, as the times of the points`),
    points: listOf(ref('HistoryPoint'), 'buckets in which something was counted, oldest first'),
  }),
  object('HistoryPoint', {
    at: whole(`beginning of the bucket: ${MOMENT}`),
    ms: whole('so much of the bucket is counted so far'),
    perSecond: decimal('responses in a second'),
    responses: mapOf(whole(), 'class, such as 2xx → responses; of all routes also those to requests without a route'),
    p50Ms: maybe(decimal('median time from the request to the end of its response, approximately; null when there was none')),
    p99Ms: maybe(decimal()),
    held: whole('clients that were held at the same time, at most'),
    holds: whole('clients that were held'),
    holdP50Ms: maybe(decimal('median time for which they were held')),
    holdP99Ms: maybe(decimal()),
    active: decimal('requests in progress, on average'),
    slots: whole('slots that linkers lent to nodes'),
    coldStarts: whole('held clients that came while no instance was ready'),
    coldStartP50Ms: maybe(decimal('median time for which they were held')),
    coldStartP99Ms: maybe(decimal()),
  }),
  object('RouteSettings', routeSettingsProperties()),
  object('ConfiguredRoute', {
    name: text(),
    settings: maybe(mapOf(true, 'as they are stored; null when the route is not configured')),
    defaults: mapOf(true, 'the values for keys that the settings do not have'),
  }),
].map(optionalSettings);

function routeSettingsProperties(): Readonly<Record<string, Schema>> {
  const defaults = writeRouteSettings(DEFAULT_ROUTE_SETTINGS);
  return Object.fromEntries(
    Object.entries(ROUTE_KEYS).map(([name, { kind, help }]) => {
      const { placeholder, expected } = kind;
      const type: Schema = placeholder.includes('|')
        ? { type: 'string', enum: placeholder.split('|') }
        : { type: placeholder === 'N' ? 'integer' : 'string' };
      return [name, { ...type, description: `${help} (${expected})`, ...(name in defaults ? { default: defaults[name] } : {}) }];
    }),
  );
}

/** Each setting is optional. */
function optionalSettings(schema: Schema): Schema {
  if (schema.$id !== 'RouteSettings') return schema;
  const { required: _, ...rest } = schema;
  return rest;
}
