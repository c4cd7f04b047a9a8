/** `/api/v1/timeline` and `/api/v1/history`: what happened. */
import type { FastifyInstance } from 'fastify';
import { rowOfCode } from '../events/catalogue.ts';
import type { ClusterEvent } from '../events/event.ts';
import type { AdminSource } from './admin-source.ts';
import { NOTHING, nameOf, responses } from './api-call.ts';
import { HistoryReader } from './history.ts';
import type { StateReader } from './state-reader.ts';

const ASKED = { querystring: NOTHING, tags: ['state'], security: [{ token: [] }] };

const SELECTED = {
  type: 'object',
  properties: {
    after: { type: 'string', pattern: '^[0-9]{1,16}-[0-9]{1,20}$', description: 'only events after the one with this id' },
    route: { type: 'string', description: 'only events of this route' },
    max: { type: 'string', pattern: '^[1-9][0-9]{0,3}$', default: '200', description: 'of these the last so many' },
  },
  additionalProperties: false,
} as const;

const OF_ROUTE = {
  type: 'object',
  properties: { route: { type: 'string', description: 'a route; without it the sum of all' } },
  additionalProperties: false,
} as const;

export function addHistory(app: FastifyInstance, source: AdminSource, reader: StateReader): void {
  const timeline = {
    operationId: 'timeline',
    summary: 'What happened in the cluster: the last events',
    response: responses('Timeline', 400),
  };
  app.get<{ Querystring: { after?: string; route?: string; max: string } }>(
    '/api/v1/timeline',
    { schema: { ...ASKED, ...timeline, querystring: SELECTED } },
    async ({ query: { after, route, max } }) => {
      const { events } = await reader.events();
      const from = after === undefined ? 0 : events.findLastIndex(({ id }) => compareIds(id, after) <= 0) + 1;
      const found = events.slice(from).filter((event) => route === undefined || event.route === route);
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

/** An event, and what to do about it. */
export function advised(event: ClusterEvent): ClusterEvent & { readonly advice: string } {
  return { ...event, advice: rowOfCode(event.code)?.advice ?? '' };
}

function compareIds(a: string, b: string): number {
  const [[aMs = 0, aNumber = 0], [bMs = 0, bNumber = 0]] = [a.split('-').map(Number), b.split('-').map(Number)];
  return aMs - bMs || aNumber - bNumber;
}
