/**
 * What the API takes and gives, as JSON schemas: fastify writes answers by them (what they do not name is not sent), and the
 * OpenAPI description is made of them.
 */
import { DEFAULT_ROUTE_SETTINGS, ROUTE_KEYS, writeRouteSettings } from '../config/route-settings.ts';

type Schema = Readonly<Record<string, unknown>>;

const described = (schema: Schema, description?: string): Schema => (description === undefined ? schema : { ...schema, description });
const text = (description?: string): Schema => described({ type: 'string' }, description);
const whole = (description?: string): Schema => described({ type: 'integer' }, description);
const yesNo = (description?: string): Schema => described({ type: 'boolean' }, description);
const maybe = (schema: Schema): Schema =>
  '$ref' in schema ? { anyOf: [schema, { type: 'null' }] } : { ...schema, type: [schema.type, 'null'] };
const listOf = (items: Schema, description?: string): Schema => described({ type: 'array', items }, description);
const one = (of: readonly string[], description?: string): Schema => described({ type: 'string', enum: of }, description);
const ref = (id: string): Schema => ({ $ref: `${id}#` });
const mapOf = (values: Schema | true, description?: string): Schema =>
  described({ type: 'object', additionalProperties: values }, description);

/** All properties are always there, and nothing else. */
function object($id: string, properties: Readonly<Record<string, Schema>>, description?: string, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { $id, ...described({ type: 'object' }, description), properties, required, additionalProperties: false };
}

const AGE = 'in ms';
const MOMENT = 'ms since the epoch';

const run = object('StartupRun', {
  startId: text(),
  count: whole('instances that it was to start'),
  endedAt: whole(MOMENT),
  durationMs: whole(),
  exitCode: maybe(whole('null when it was ended by a signal, or could not be run')),
  failure: maybe(text('what went wrong; null when it exited with 0')),
  output: text('the end of what it wrote'),
});

const jobProperties = {
  id: text(),
  route: text(),
  state: one(['active', 'waiting', 'delayed', 'failed', 'completed'], 'delayed: it failed and is tried again; failed: it is not'),
  attempts: whole('tries that have ended'),
  attemptsMax: whole(),
  forced: whole('instances asked for beyond what clients need'),
  orderedAt: whole(MOMENT),
  beganAt: maybe(whole(`the last try: ${MOMENT}`)),
  endedAt: maybe(whole(MOMENT)),
  nextTryAt: maybe(whole(`about when it is tried again: ${MOMENT}`)),
  failure: maybe(text('what the last try failed with')),
};

const routeProperties = {
  name: text('a host name, *.example.com for all hosts below it, * for any'),
  held: whole('clients that wait'),
  oldestHeldMs: whole('how long the oldest of them has waited'),
  active: whole('requests (TCP: connections) in progress'),
  slots: whole('what ready instances can take at once'),
  free: whole('of these, idle ones that nobody is promised'),
  starting: whole('starts, and instances that are linked and not ready yet'),
  starts: listOf(ref('Start'), 'oldest first'),
  instances: listOf(ref('Instance'), 'newest first'),
  settings: maybe(mapOf(true, 'as they are stored; null when the route is not configured')),
  trouble: maybe(ref('StartTrouble')),
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
    refusal: maybe(text('why it refuses to write although it answers; null when it does not')),
  }),
  object('Redis', { connected: maybe(yesNo('null when no Redis is configured')) }),
  object('Start', { id: text(), ageMs: whole('since it was begun'), leftMs: whole('until it is given up') }, 'begun, and not linked yet'),
  object('StartTrouble', {
    failures: whole('one after the other, up to now'),
    reason: text('of the last one'),
    ageMs: whole('since then'),
    retryInMs: whole('until the next start is tried; 0: as soon as one is missing'),
  }),
  object(
    'Instance',
    {
      id: text(),
      seq: whole(`its number from the directory, about when it linked: ${MOMENT}; larger is newer`),
      concurrency: whole('slots'),
      active: whole('slots in use'),
      node: text('its home'),
      state: one(['starting', 'ready', 'draining']),
      version: text('of its linker, unless that is too old to say it'),
    },
    undefined,
    ['version'],
  ),
  object('Route', routeProperties),
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
    coldStarts: mapOf(whole(), 'of these, the ones that began while no instance was ready'),
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
  object('StartupJob', { ...jobProperties, runs: listOf(ref('StartupRun'), 'oldest first; of many the last ten') }),
  object('StartupJobSummary', { ...jobProperties, runs: whole(), lastRun: maybe(ref('StartupRun')) }),
  object('StartupJobs', { jobs: listOf(ref('StartupJob'), 'those under way first'), scalers: maybe(whole('null when that is not known')) }),
  object('WaitsLately', {
    withinMs: whole('what is lately'),
    count: whole('clients'),
    p50Ms: maybe({ type: 'number', description: 'half of them waited no longer, about; null when there were none' }),
    p99Ms: maybe({ type: 'number' }),
  }),
  object(
    'Waits',
    { holds: ref('WaitsLately'), coldStarts: ref('WaitsLately') },
    'how long clients were held, as far as this process looked on',
  ),
  object('State', {
    node: maybe(text('the node that answers; null when it is none')),
    at: whole(`when this was seen: ${MOMENT}`),
    version: text('of the process that answers'),
    draining: yesNo('the process that answers is leaving'),
    redis: ref('Redis'),
    startedBy: one(['scalers', 'this process', 'nobody'], 'who starts instances when clients wait'),
    routeDefaults: mapOf(true, "what holds where a route's settings say nothing"),
    scalers: maybe(whole('that take startup jobs; null when that is not known')),
    troubles: listOf(ref('Trouble'), 'what is wrong now, the worst first'),
    nodes: listOf(ref('Node')),
    routes: listOf(ref('Route')),
    jobs: listOf(ref('StartupJobSummary'), 'startup jobs: those under way first, then the last ones that are over'),
    waits: ref('Waits'),
  }),
  object('RouteSettings', routeSettingsProperties()),
  object('ConfiguredRoute', {
    name: text(),
    settings: maybe(mapOf(true, 'as they are stored; null when the route is not configured')),
    defaults: mapOf(true, 'what holds where the settings say nothing'),
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

/** Of settings, any may be left out. */
function optionalSettings(schema: Schema): Schema {
  if (schema.$id !== 'RouteSettings') return schema;
  const { required: _, ...rest } = schema;
  return rest;
}
