/** What an operator does about startup jobs: at the queue itself, with the command line, and at the admin port. */
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { StartupJobReader } from '../../../src/scaling/startup-job-reader.ts';
import { type ClusterNode, startNode } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { runCommand, startProcess } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

jest.setTimeout(90_000);

const ROUTE = 'app.test';

let redis: RedisServer;
let client: Redis;
let queue: Queue;
let jobs: StartupJobReader;
let node: ClusterNode;

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
  queue = new Queue('startup', { prefix: '{pp-bull}', connection: { url: redis.url, maxRetriesPerRequest: null } });
  jobs = new StartupJobReader(redis.url);
  node = await startNode(redis.url, ['--id', 'a']);
});
beforeEach(() => queue.obliterate({ force: true }));
afterAll(async () => {
  await node.stop();
  await jobs.close();
  await queue.close();
  client.disconnect();
  await redis.stop();
});

const add = async (attempts = 1, delay = 0): Promise<string> => {
  const data = { route: ROUTE, force: 1, startIds: [] };
  return (await queue.add('start', data, { attempts, delay, deduplication: { id: ROUTE, keepLastIfActive: true } })).id ?? '';
};
const stateOf = async (id: string): Promise<string | undefined> => (await jobs.read(10))?.jobs.find((job) => job.id === id)?.state;
const ask = (path: string, method: string) => fetch(`${node.admin}/api/v1/jobs/${path}`, { method });

test('one that waits is there already, and can be removed; then another one is ordered as before', async () => {
  const id = await add();
  expect(await jobs.retry(id)).toBe('waiting');
  expect(await jobs.remove(id)).toBe('done');
  expect([await jobs.remove(id), await jobs.retry(id), await stateOf(id)]).toEqual(['unknown', 'unknown', undefined]);
  const next = await add();
  expect(next).not.toBe(id);
  expect(await stateOf(next)).toBe('waiting');
});

test('one that waits for its next try is tried now', async () => {
  const id = await add(5, 60_000);
  expect(await stateOf(id)).toBe('delayed');
  expect(await jobs.retry(id)).toBe('done');
  expect(await stateOf(id)).toBe('waiting');
});

test('what is no job is left alone, whatever it is called', async () => {
  await add();
  const before = await client.keys('*');
  for (const id of ['meta', 'wait', 'events', 'id', '', '*', 'de:app.test', '../pp:nodes', '0'.repeat(400)]) {
    expect([id, await jobs.remove(id), await jobs.retry(id)]).toEqual([id, 'unknown', 'unknown']);
  }
  expect((await client.keys('*')).filter((key) => key.includes('pp-bull')).sort()).toEqual(
    before.filter((key) => key.includes('pp-bull')).sort(),
  );
});

test('one that runs is refused in clear words; one that failed is tried again as a new one', async () => {
  const fails = ['sh', '-c', 'until [ -e "$GATE" ]; do sleep 0.05; done; exit 3'];
  const gate = `/tmp/pullproxy-job-gate-${process.pid}-${Date.now()}`;
  const scaler = await startProcess(['scaler', '--redis', redis.url, '--command-env', 'GATE', '--', ...fails], { env: { GATE: gate } });
  expect((await runCommand(['route', 'set', ROUTE, 'maxInstances=2', '--redis', redis.url])).code).toBe(0);
  expect((await ask('nothing/retry', 'POST')).status).toBe(404);
  // An instance that is asked for by hand.
  expect((await fetch(`${node.admin}/api/v1/routes/${ROUTE}/start`, { method: 'POST' })).status).toBe(202);
  let id = '';
  await eventually('it runs', async () => {
    id = (await jobs.read(10))?.jobs.find(({ state }) => state === 'active')?.id ?? '';
    return id !== '';
  });
  const running = { error: { code: 'job_running', message: `job ${id} is running: wait until it has ended` } };
  for (const [path, method] of [
    [`${id}/retry`, 'POST'],
    [id, 'DELETE'],
  ] as const) {
    const refused = await ask(path, method);
    expect([refused.status, await refused.json()]).toEqual([409, running]);
  }
  expect(await runCommand(['jobs', 'remove', id, '--redis', redis.url])).toMatchObject({
    code: 1,
    stderr: `pullproxy: job ${id}: it is running: wait until it has ended\n`,
  });
  await runCommand(['route', 'set', ROUTE, 'maxInstances=0', '--redis', redis.url]);
  writeFileSync(gate, '');
  await eventually('it has failed', async () => ['delayed', 'failed'].includes((await stateOf(id)) ?? ''));
  expect((await runCommand(['jobs', 'list', '--redis', redis.url])).stdout).toMatch(
    /JOB +ROUTE +STATE.*\n\S+ +app\.test +(delayed|failed|active)/,
  );
  await scaler.stop();
  // Given up, as after its last try.
  const failed = await queue.add('start', { route: 'failed.test', force: 0, startIds: [] }, { jobId: 'given-up-1', attempts: 1 });
  await client.lrem('{pp-bull}:startup:wait', 0, 'given-up-1');
  await client.zadd('{pp-bull}:startup:failed', Date.now(), 'given-up-1');
  expect(await failed.getState()).toBe('failed');
  const again = await ask('given-up-1/retry', 'POST');
  expect([again.status, await again.json()]).toEqual([202, { id: 'given-up-1' }]);
  expect(await stateOf('given-up-1')).toBeUndefined();
  expect((await jobs.read(10))?.jobs.some(({ route, state }) => route === 'failed.test' && state === 'waiting')).toBe(true);
});

test('the command line says what it expects', async () => {
  expect(await runCommand(['jobs'])).toMatchObject({ code: 2, stderr: expect.stringMatching(/expected one of list, retry, remove/) });
  expect(await runCommand(['jobs', 'retry'])).toMatchObject({ code: 2, stderr: expect.stringMatching(/the id of a job/) });
  expect(await runCommand(['jobs', 'list', 'x'])).toMatchObject({ code: 2 });
  expect((await runCommand(['jobs', 'list', '--redis', redis.url])).stdout).toBe('There are no startup jobs.\n');
});

test('without Redis there are none', async () => {
  const alone = await startNode(null);
  const refused = await fetch(`${alone.admin}/api/v1/jobs/1/retry`, { method: 'POST' });
  expect([refused.status, await refused.json()]).toMatchObject([409, { error: { code: 'no_jobs' } }]);
  await alone.stop();
});
