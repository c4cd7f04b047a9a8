/** `/api/v1`: reads the state and changes it. */
import type { FastifyInstance } from 'fastify';
import { drainDelay, problem } from '../config/kinds.ts';
import { checkMatch } from '../config/match-rules.ts';
import { canonicalRouteRecord, type RouteRecord } from '../config/route-settings.ts';
import { ConfigError } from '../errors.ts';
import type { AdminSource } from './admin-source.ts';
import { accepted, NAMED, NOTHING, nameOf, RequestError, responses, servedNameOf } from './api-call.ts';
import type { Feeds } from './feeds.ts';
import { addHistory } from './history-api.ts';
import { addJobs } from './jobs-api.ts';
import { addPauses } from './pauses-api.ts';
import type { StateListener } from './state-feed.ts';
import type { StateReader } from './state-reader.ts';

const NO_SCALER = 'this node cannot start instances: it has no Redis';
const NODE = { type: 'object', properties: { id: { type: 'string' } }, required: ['id'], additionalProperties: false } as const;

const DIFFERENCES = {
  type: 'object',
  properties: { differences: { type: 'string', enum: ['', 'true'], description: 'what changes, not whole states' } },
  additionalProperties: false,
} as const;

interface Named {
  Params: { name: string };
}

export function addApi(app: FastifyInstance, source: AdminSource, reader: StateReader, feeds: Feeds): void {
  addState(app, reader, feeds);
  addJobs(app, source);
  addHistory(app, source, reader, feeds);
  addRoutes(app, source, reader);
  addPauses(app, source);
  addLeaving(app, source);
  addReload(app, source);
}

function addState(app: FastifyInstance, reader: StateReader, feeds: Feeds): void {
  const asked = { querystring: NOTHING, tags: ['state'], security: [{ token: [] }] };

  app.get(
    '/api/v1/state',
    {
      schema: {
        ...asked,
        operationId: 'state',
        summary: 'Nodes, routes, instances and troubles',
        response: responses('State', 503),
      },
    },
    () => reader.read(),
  );

  const events = {
    operationId: 'events',
    summary:
      'The same as server-sent events, once a second: whole states, or with differences one state, then what changes, and the timeline',
    produces: ['text/event-stream'],
    querystring: DIFFERENCES,
  };
  app.get<{ Querystring: { differences?: string } }>('/api/v1/events', { schema: { ...asked, ...events } }, (request, reply) => {
    const { differences } = request.query;
    feeds.follow<StateListener>(
      feeds.states,
      differences === undefined ? { wants: 'states' } : { wants: 'differences', state: 0, event: null, untold: '[]' },
      request,
      reply,
    );
  });
}

function addRoutes(app: FastifyInstance, source: AdminSource, reader: StateReader): void {
  const asked = { querystring: NOTHING, params: NAMED };
  const changes = { ...asked, tags: ['changes'], security: [{ token: [] }] };

  const get = { operationId: 'route', summary: "A route's settings", response: responses('ConfiguredRoute', 404, 503) };
  app.get<Named>(
    '/api/v1/routes/:name',
    { schema: { ...asked, tags: ['state'], security: [{ token: [] }], ...get } },
    async ({ params }) => {
      const name = nameOf(params);
      const route = (await reader.read()).routes.find((one) => one.name === name);
      if (route === undefined) throw new RequestError(404, 'unknown_route', `no route ${name}`);
      return { name, settings: route.settings, defaults: source.routeDefaults };
    },
  );

  const put = {
    operationId: 'setRoute',
    summary: "Sets a route's settings: these and no others. With `If-None-Match: *` only where it has none yet",
    body: { type: 'object' },
    response: responses('ConfiguredRoute', 400, 401, 403, 412, 503),
  };
  // One function checks keys and values, here as for the command line and the file. It refuses unknown keys
  // and reports all problems at once.
  app.put<Named & { Body: RouteRecord }>(
    '/api/v1/routes/:name',
    { schema: { ...changes, ...put }, config: { describedBody: 'RouteSettings' } as object },
    async ({ params, body, headers }) => {
      const name = nameOf(params);
      const settings = canonicalRouteRecord(body);
      if (headers['if-none-match'] === '*' && (await reader.read()).routes.some((one) => one.name === name && one.settings !== null)) {
        throw new RequestError(412, 'route_exists', `${name} has settings already: change them at the route`);
      }
      const others = (await reader.read()).routes.flatMap((one) => (one.settings === null ? [] : [[one.name, one.settings] as const]));
      checkMatch(name, settings, new Map(others));
      await source.setRoute(name, settings);
      return { name, settings, defaults: source.routeDefaults };
    },
  );

  const remove = { operationId: 'deleteRoute', summary: "Deletes a route's settings", response: responses(null, 400, 401, 403, 503) };
  app.delete<Named>('/api/v1/routes/:name', { schema: { ...changes, ...remove } }, async ({ params }, reply) => {
    await source.deleteRoute(nameOf(params));
    return reply.code(204).send();
  });

  const start = {
    operationId: 'start',
    summary: 'Asks for one more instance',
    response: accepted({ name: { type: 'string' } }, 400, 401, 403, 404, 409, 503),
  };
  app.post<Named>('/api/v1/routes/:name/start', { schema: { ...changes, ...start } }, async ({ params }, reply) => {
    const name = servedNameOf(params);
    const route = (await reader.read()).routes.find((one) => one.name === name);
    if (route?.settings?.key !== undefined)
      throw new ConfigError([problem('the route', name, `a key with it, such as ${name}~KEY: each key has its own instances`)]);
    const result = await source.start(name);
    if (result === 'unknown') throw new RequestError(404, 'unknown_route', `no route ${name}`);
    if (result === 'impossible') throw new RequestError(409, 'no_scaler', NO_SCALER);
    return reply.code(202).send({ name });
  });

  const restart = {
    operationId: 'restart',
    summary: 'Replaces every instance by a newer one, as for a new version',
    response: accepted({ name: { type: 'string' }, replaced: { type: 'integer', description: 'instances' } }, 401, 403, 404, 409, 503),
  };
  app.post<Named>('/api/v1/routes/:name/restart', { schema: { ...changes, ...restart } }, async ({ params }, reply) => {
    const name = servedNameOf(params);
    const replaced = await source.restart(name);
    if (replaced === 'impossible') throw new RequestError(409, 'no_scaler', NO_SCALER);
    if (replaced === 0) throw new RequestError(404, 'no_instance', `${name} has no instance to replace`);
    return reply.code(202).send({ name, replaced });
  });
}

const DELAY = {
  type: 'object',
  properties: { delay: { type: 'string', description: 'how long to serve on before, such as 5s; without it what --drain-delay says' } },
  additionalProperties: false,
} as const;

interface Delayed {
  Querystring: { delay?: string };
}

function addLeaving(app: FastifyInstance, source: AdminSource): void {
  const changes = { querystring: DELAY, tags: ['changes'], security: [{ token: [] }] };

  const drain = {
    operationId: 'drain',
    summary: 'The process that answers drains and ends',
    response: accepted({ draining: { type: 'boolean' } }, 400, 401, 403),
  };
  app.post<Delayed>('/api/v1/drain', { schema: { ...changes, ...drain } }, ({ query }, reply) => {
    source.drain(delayOf(query));
    return reply.code(202).send({ draining: true });
  });

  const other = {
    operationId: 'drainNode',
    summary: 'Asks any node of the cluster to leave: it accepts no new clients, serves the ones that it has, and ends',
    params: NODE,
    response: accepted({ id: { type: 'string' } }, 400, 401, 403, 404, 409, 503),
  };
  app.post<Delayed & { Params: { id: string } }>(
    '/api/v1/nodes/:id/drain',
    { schema: { ...changes, ...other } },
    async ({ params: { id }, query }, reply) => {
      const result = await source.drainNode(id, delayOf(query));
      if (result === 'unknown') throw new RequestError(404, 'unknown_node', `there is no node ${id}`);
      if (result === 'impossible') throw new RequestError(409, 'no_node', 'ask at the admin port of a node: this process is not a node');
      return reply.code(202).send({ id });
    },
  );

  const forget = {
    operationId: 'forgetNode',
    summary: 'Says that a missing node does not come back',
    params: NODE,
    response: responses(null, 401, 403, 404, 503),
  };
  app.post<{ Params: { id: string } }>(
    '/api/v1/nodes/:id/forget',
    { schema: { ...changes, querystring: NOTHING, ...forget } },
    async ({ params: { id } }, reply) => {
      if (!(await source.forgetNode(id))) throw new RequestError(404, 'unknown_node', `no node ${id} is missing`);
      return reply.code(204).send();
    },
  );
}

function addReload(app: FastifyInstance, source: AdminSource): void {
  const reload = {
    operationId: 'reload',
    summary: 'Reads configuration, routes, certificates, secrets and the file of the access log anew, all of it or nothing',
    querystring: NOTHING,
    tags: ['changes'],
    security: [{ token: [] }],
    response: responses('Reloaded', 401, 403, 409, 422, 503),
  };
  app.post('/api/v1/reload', { schema: reload }, async () => {
    if (source.reload === null) throw new RequestError(409, 'not_reloadable', 'this process reads its configuration only when it starts');
    return source.reload().catch((error: Error) => {
      if (error instanceof ConfigError)
        throw new RequestError(422, 'configuration_refused', `nothing was changed: ${error.problems.join('; ')}`);
      // It may come from a worker.
      if (error.name === 'ReloadRefused') throw new RequestError(409, 'not_reloaded', `nothing was changed: ${error.message}`);
      throw error;
    });
  });
}

/** @throws ConfigError */
function delayOf({ delay }: { readonly delay?: string }): number | undefined {
  if (delay === undefined) return undefined;
  const read = drainDelay.read(delay);
  if (read === null) throw new ConfigError([problem('delay', delay, drainDelay.expected)]);
  return read;
}
