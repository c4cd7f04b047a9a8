/** `/api/v1`: what is there, and how it is changed. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { problem } from '../config/kinds.ts';
import { ROUTE_NAME_EXPECTED, validRouteName } from '../config/route-name.ts';
import { canonicalRouteRecord, type RouteRecord } from '../config/route-settings.ts';
import { ConfigError } from '../errors.ts';
import type { AdminSource } from './admin-source.ts';
import { RequestError } from './request-error.ts';
import { LISTENERS_MAX, type StateFeed } from './state-feed.ts';

const NOTHING = { type: 'object', properties: {}, additionalProperties: false } as const;
const NAME = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'], additionalProperties: false } as const;

interface Named {
  Params: { name: string };
}

export function addApi(app: FastifyInstance, source: AdminSource, feed: StateFeed): void {
  const plain = { schema: { querystring: NOTHING } };
  const named = { schema: { querystring: NOTHING, params: NAME } };

  app.get('/api/v1/state', plain, () => source.state());

  app.get('/api/v1/events', plain, (_request: FastifyRequest, reply: FastifyReply) => {
    const headers = Object.fromEntries(Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]));
    if (!feed.add(reply.raw, headers)) {
      throw new RequestError(503, 'too_many_listeners', `${LISTENERS_MAX} listeners are there already`);
    }
    reply.hijack();
  });

  // The keys and values of a route's settings are checked by the one function that knows them, as for the command line and
  // the file: it refuses what it does not know, and says all that is wrong at once.
  app.put<Named & { Body: RouteRecord }>(
    '/api/v1/routes/:name',
    { schema: { ...named.schema, body: { type: 'object' } } },
    async ({ params, body }) => {
      const name = nameOf(params);
      const settings = canonicalRouteRecord(body);
      await source.setRoute(name, settings);
      return { name, settings };
    },
  );

  app.delete<Named>('/api/v1/routes/:name', named, async ({ params }, reply) => {
    await source.deleteRoute(nameOf(params));
    return reply.code(204).send();
  });

  app.post<Named>('/api/v1/routes/:name/start', named, async ({ params }, reply) => {
    const name = nameOf(params);
    const result = await source.start(name);
    if (result === 'unknown') throw new RequestError(404, 'unknown_route', `no route ${name}`);
    if (result === 'impossible') throw new RequestError(409, 'no_scaler', 'nothing starts instances here: the node has no Redis');
    return reply.code(202).send({ name });
  });

  app.post('/api/v1/drain', plain, (_request, reply) => {
    source.drain();
    return reply.code(202).send({ draining: true });
  });
}

function nameOf(params: { readonly name: string }): string {
  const name = validRouteName(params.name);
  if (name === null) throw new ConfigError([problem('the route', params.name, ROUTE_NAME_EXPECTED)]);
  return name;
}
