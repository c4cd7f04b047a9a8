/** Pausing and resuming routes. */
import type { FastifyInstance } from 'fastify';
import type { PauseOptions } from '../cluster/cluster.ts';
import { pausedTunnels, pauseFor, pauseWait, problem } from '../config/kinds.ts';
import { ConfigError } from '../errors.ts';
import type { AdminSource } from './admin-source.ts';
import { accepted, NAMED, NOTHING, nameOf, RequestError, responses } from './api-call.ts';

const PAUSE = {
  type: 'object',
  properties: {
    for: { type: 'string', description: 'how long the route stays paused, such as 60s', default: '60s' },
    wait: { type: 'string', description: 'how long to wait until nothing is in flight, at most 10m', default: '30s' },
    tunnels: { type: 'string', description: 'wait or ignore: WebSockets and TCP connections have no end of their own', default: 'wait' },
  },
  additionalProperties: false,
} as const;

interface PauseQuery {
  Querystring: { for: string; wait: string; tunnels: string };
}

export function addPauses(app: FastifyInstance, source: AdminSource): void {
  const changes = { params: NAMED, tags: ['changes'], security: [{ token: [] }] };
  const pause = {
    operationId: 'pause',
    summary: 'Holds all clients of the route, and answers when nothing of it is in flight',
    response: responses('PauseOutcome', 400, 401, 403, 404, 409, 503),
  };
  app.post<{ Params: { name: string } } & PauseQuery>(
    '/api/v1/routes/:name/pause',
    { schema: { ...changes, querystring: PAUSE, ...pause } },
    async ({ params, query }) => {
      const name = nameOf(params);
      const outcome = await source.pause(name, pauseOf(query));
      if (outcome === 'unknown') throw new RequestError(404, 'unknown_route', `no route ${name}`);
      if (outcome === 'too_many') throw new RequestError(409, 'too_many_pauses', 'too many routes are paused already');
      const { pause, still, tunnels } = outcome;
      return { name, done: still.length === 0, leftMs: pause.untilMs - pause.sinceMs, still, tunnels };
    },
  );

  const resume = {
    operationId: 'resume',
    summary: 'Ends a pause: held clients get slots as they come free',
    response: accepted({ name: { type: 'string' }, wasPaused: { type: 'boolean' } }, 400, 401, 403, 503),
  };
  app.post<{ Params: { name: string } }>(
    '/api/v1/routes/:name/resume',
    { schema: { ...changes, querystring: NOTHING, ...resume } },
    async ({ params }, reply) => {
      const name = nameOf(params);
      return reply.code(202).send({ name, wasPaused: await source.resume(name) });
    },
  );
}

/** @throws ConfigError with all problems */
function pauseOf(query: PauseQuery['Querystring']): PauseOptions {
  const [forMs, waitMs, tunnels] = [pauseFor.read(query.for), pauseWait.read(query.wait), pausedTunnels.read(query.tunnels)];
  const problems = [
    forMs === null ? problem('for', query.for, pauseFor.expected) : '',
    waitMs === null ? problem('wait', query.wait, pauseWait.expected) : '',
    tunnels === null ? problem('tunnels', query.tunnels, pausedTunnels.expected) : '',
  ].filter((one) => one !== '');
  if (forMs === null || waitMs === null || tunnels === null) throw new ConfigError(problems);
  return { forMs, waitMs, tunnels };
}
