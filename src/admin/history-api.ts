/** `/api/v1/timeline` and `/api/v1/history`: what happened. */
import type { FastifyInstance } from 'fastify';
import { isEventId } from '../events/event.ts';
import type { AdminSource } from './admin-source.ts';
import { NOTHING, nameOf, responses } from './api-call.ts';
import { advised, eventsAfter } from './event-history.ts';
import type { Feeds } from './feeds.ts';
import { HistoryReader } from './history.ts';
import type { StateReader } from './state-reader.ts';

const ASKED = { querystring: NOTHING, tags: ['state'], security: [{ token: [] }] };

const SELECTED = {
  type: 'object',
  properties: {
    after: { type: 'string', pattern: '^[0-9]{1,16}-[0-9]{1,20}$', description: 'only events after the one with this id' },
    route: { type: 'string', description: 'only events of this route' },
    max: { type: 'string', pattern: '^[1-9][0-9]{0,3}$', default: '200', description: 'of these the last so many' },
    follow: { type: 'string', enum: ['', 'true'], description: 'go on with what happens, as server-sent events' },
  },
  additionalProperties: false,
} as const;

const OF_ROUTE = {
  type: 'object',
  properties: { route: { type: 'string', description: 'a route; without it the sum of all' } },
  additionalProperties: false,
} as const;

interface Selection {
  readonly after?: string;
  readonly route?: string;
  readonly max: string;
  readonly follow?: string;
}

export function addHistory(app: FastifyInstance, source: AdminSource, reader: StateReader, feeds: Feeds): void {
  const timeline = {
    operationId: 'timeline',
    summary: 'What happened in the cluster: the last events; with follow also what happens from now on, as server-sent events',
    response: responses('Timeline', 400, 503),
  };
  app.get<{ Querystring: Selection }>(
    '/api/v1/timeline',
    { schema: { ...ASKED, ...timeline, querystring: SELECTED } },
    async (request, reply) => {
      const { after, route, max, follow } = request.query;
      const last = request.headers['last-event-id'];
      if (follow !== undefined) {
        const event = after ?? (isEventId(last) ? last : null);
        return feeds.follow(feeds.timeline, { event, route, max: Number(max), begun: false }, request, reply);
      }
      const { events, untold } = await reader.events();
      const found = [...eventsAfter(events, after ?? null), ...untold].filter((event) => route === undefined || event.route === route);
      return { events: found.slice(-Number(max)).map(advised) };
    },
  );

  const history = {
    operationId: 'history',
    summary: 'The last hour, for charts: requests, their time, held clients, slots and cold starts, in buckets of half a minute',
    response: responses('History', 400, 503),
  };
  const histories = new HistoryReader(source);
  app.get<{ Querystring: { route?: string } }>(
    '/api/v1/history',
    { schema: { ...ASKED, ...history, querystring: OF_ROUTE } },
    ({ query: { route } }) => histories.read(route === undefined ? null : nameOf({ name: route })),
  );
}
