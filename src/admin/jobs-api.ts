/** `/api/v1/jobs`: startup jobs, and what an operator does about them. */
import type { FastifyInstance } from 'fastify';
import type { AdminSource } from './admin-source.ts';
import { accepted, NOTHING, RequestError, responses } from './api-call.ts';

/** Jobs in each state. */
const JOBS_MAX = 100;

const JOB = {
  type: 'object',
  properties: { id: { type: 'string', minLength: 1, maxLength: 500, description: 'as /api/v1/jobs has it' } },
  required: ['id'],
  additionalProperties: false,
} as const;

interface Named {
  Params: { id: string };
}

export function addJobs(app: FastifyInstance, source: AdminSource): void {
  const security = [{ token: [] }];
  const jobs = { operationId: 'jobs', summary: 'Startup jobs with each run of the command', response: responses('StartupJobs', 503) };
  app.get('/api/v1/jobs', { schema: { querystring: NOTHING, tags: ['state'], security, ...jobs } }, async () => {
    const found = await source.jobs(JOBS_MAX);
    if (found === null) throw new RequestError(503, 'jobs_unavailable', 'the startup jobs can not be read now');
    return { ...found, rate: found.rate ?? null };
  });

  const changes = { querystring: NOTHING, params: JOB, tags: ['changes'], security };
  const retry = {
    operationId: 'retryJob',
    summary: 'Tries a startup job again, now: one that failed, or that waits for its next try',
    response: accepted({ id: { type: 'string' } }, 400, 401, 403, 404, 409, 503),
  };
  app.post<Named>('/api/v1/jobs/:id/retry', { schema: { ...changes, ...retry } }, async ({ params: { id } }, reply) => {
    refuse(id, await source.changeJob(id, 'retry'));
    return reply.code(202).send({ id });
  });

  const remove = {
    operationId: 'removeJob',
    summary: 'Removes a startup job that does not run',
    response: responses(null, 400, 401, 403, 404, 409, 503),
  };
  app.delete<Named>('/api/v1/jobs/:id', { schema: { ...changes, ...remove } }, async ({ params: { id } }, reply) => {
    refuse(id, await source.changeJob(id, 'remove'));
    return reply.code(204).send();
  });
}

/** @throws RequestError */
function refuse(id: string, change: Awaited<ReturnType<AdminSource['changeJob']>>): void {
  if (change === 'done') return;
  if (change === 'unknown') throw new RequestError(404, 'unknown_job', `there is no job ${id}`);
  if (change === 'running') throw new RequestError(409, 'job_running', `job ${id} is running: wait until it has ended`);
  if (change === 'waiting') throw new RequestError(409, 'job_waiting', `job ${id} waits for a scaler already`);
  if (change === 'finished') throw new RequestError(409, 'job_finished', `job ${id} is done: there is nothing to try again`);
  throw new RequestError(409, 'no_jobs', 'this node has no Redis, so there are no startup jobs');
}
