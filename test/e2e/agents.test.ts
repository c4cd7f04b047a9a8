/** Agents: one linker process for several instances of a machine, which takes starts from the scaler instead of a startup command. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { type ApplicationResponse, crowd, statuses } from '../support/clients.ts';
import { type ClusterNode, type State, setRoute, startLinker, startNode, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Running, startProcess } from '../support/processes.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { Versions } from '../support/versions.ts';

const CONCURRENCY = 2;
const PATIENCE_MS = 100_000;

// Processes of Node start one after the other: on a busy machine that takes long.
jest.setTimeout(240_000);

let redis: RedisServer;
let nodes: readonly [ClusterNode, ClusterNode];
let route: string;
let versions: Versions;
const running: Running[] = [];

beforeAll(async () => {
  redis = await startRedis();
  const [a, b] = await Promise.all(['a', 'b'].map((id) => startNode(redis.url, ['--id', id])));
  nodes = [a as ClusterNode, b as ClusterNode];
  await startProcess(['scaler', '--redis', redis.url, '--rate', '50/1s', '--agents-only']);
});
afterAll(async () => {
  await redis?.stop();
});

let routes = 0;
beforeEach(async () => {
  route = `app${++routes}.example.com`;
  versions = new Versions();
  versions.deploy('v1');
  await setRoute(redis.url, route, 'maxInstances=20', 'holdTimeout=5m', `concurrency=${CONCURRENCY}`);
});
afterEach(async () => {
  versions.openGate();
  for (const one of running.splice(0)) one.kill('SIGKILL');
  await eventually('no application is left', () => applications() === 0, PATIENCE_MS);
  versions.remove();
});

/** An agent at node `at`, as on a machine of its own. */
async function startAgent(at: 0 | 1, instances: string, ...args: readonly string[]): Promise<Running> {
  const linker = { proxies: [nodes[at].backend], route, concurrency: CONCURRENCY, app: versions.app };
  const agent = await startLinker({ ...linker, args: ['--instances', instances, '--ready-path', '/healthz', ...args] });
  running.push(agent);
  await agent.logged(({ msg }) => msg === 'linked to a node', PATIENCE_MS);
  // The scaler gives starts to agents of which the directory has heard.
  const known = (): boolean => nodes[at].logs.some(({ msg, agent: id }) => msg === 'agent linked' && id === agent.ready.agent);
  await eventually('the node knows the agent', known, PATIENCE_MS);
  return agent;
}

const clients = (count: number, path = '/gate'): Promise<ApplicationResponse[]> =>
  crowd(count, (i) => nodes[i % 2 === 0 ? 0 : 1].url, { host: route, path });

async function picture(): Promise<State['routes'][number] | undefined> {
  return (await state(nodes[0])).routes.find(({ name }) => name === route);
}

async function becomes(what: string, is: (now: State['routes'][number]) => boolean): Promise<void> {
  await eventually(
    what,
    async () => {
      const now = await picture();
      return now !== undefined && is(now);
    },
    PATIENCE_MS,
  );
}

const served = (agent: Running): number => agent.logs.filter(({ msg }) => msg === 'instance serves').length;

/** Processes of this test's application, whoever has started them. */
function applications(): number {
  const [, , file = ''] = versions.app;
  const commands = readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')];
    } catch {
      return [];
    }
  });
  return commands.filter(([program, , argument]) => program === process.execPath && argument === file).length;
}

test('a crowd starts exactly the instances that it needs, on the agents with the most room, and idle ones leave', async () => {
  const idle = ['--idle-timeout', '5s', '--old-idle-timeout', '5s'];
  const [large, small] = [await startAgent(0, '0-5', ...idle), await startAgent(1, '0-3', ...idle)];
  const crowded = clients(12);
  await becomes('all are served', ({ active }) => active === 12);
  await eventually('all are said', () => served(large) + served(small) >= 6, PATIENCE_MS);
  expect([served(large) + served(small), applications()]).toEqual([6, 6]);
  expect(served(large)).toBeGreaterThan(served(small));
  expect(served(small)).toBeGreaterThan(0);
  versions.openGate();
  expect(statuses(await crowded)).toEqual({ '200': 12 });
  await becomes('all have left', ({ instances }) => instances.length === 0);
  await eventually('the applications have ended', () => applications() === 0, PATIENCE_MS);
  expect([large.pid, small.pid].map((pid) => readdirSync(`/proc/${pid}`).length > 0)).toEqual([true, true]);
});

test('who finds no room is held, and served by the agent that comes next', async () => {
  const first = await startAgent(0, '0-1');
  const crowded = clients(4);
  await becomes('two are served and two are held', ({ active, held }) => active === 2 && held === 2);
  const second = await startAgent(1, '0-4');
  await becomes('all are served', ({ active }) => active === 4);
  expect([served(first), served(second)]).toEqual([1, 1]);
  expect((await picture())?.trouble).toBeNull();
  versions.openGate();
  expect(statuses(await crowded)).toEqual({ '200': 4 });
});

test('an agent that is killed loses its own instances, whose applications end, and its starts are given to another one', async () => {
  versions.deploy('v1', 'warms');
  const [first, second] = [await startAgent(0, '0-4'), await startAgent(1, '0-4')];
  const crowded = clients(4);
  await becomes('one instance starts on each', ({ starting, instances }) => starting === 2 && instances.length === 2);
  await eventually('the applications run', () => applications() === 2, PATIENCE_MS);
  first.kill('SIGKILL');
  await becomes(
    'another one starts on the other',
    ({ starting, instances }) => starting === 2 && instances.length === 2 && instances.every(({ node }) => node === 'b'),
  );
  await eventually('the guard has ended the application of the killed agent', () => applications() === 2, PATIENCE_MS);
  versions.warm();
  await becomes('all are served', ({ active }) => active === 4);
  expect([served(first), served(second)]).toEqual([0, 2]);
  versions.openGate();
  expect(statuses(await crowded)).toEqual({ '200': 4 });
});

test('an agent that leaves serves what it has, takes no start, and ends with 0', async () => {
  const leaver = await startAgent(0, '0-4');
  const first = clients(2);
  await becomes('they are served', ({ active }) => active === 2);
  const stayer = await startAgent(1, '0-4');
  leaver.kill('SIGTERM');
  await leaver.logged(({ msg }) => msg === 'agent draining', PATIENCE_MS);
  const second = clients(2);
  await becomes('the next ones are served, too', ({ active }) => active === 4);
  expect([served(leaver), served(stayer)]).toEqual([1, 1]);
  versions.openGate();
  expect(statuses(await first)).toEqual({ '200': 2 });
  expect(statuses(await second)).toEqual({ '200': 2 });
  expect(await leaver.exit).toEqual({ code: 0, signal: null });
});

test('an agent keeps its least number of instances, also when one of them ends', async () => {
  const agent = await startAgent(0, '2-3', '--idle-timeout', '200ms', '--old-idle-timeout', '100ms');
  await becomes('both are ready', ({ slots }) => slots === 2 * CONCURRENCY);
  await eventually('an idle one was asked about', () => served(agent) === 2, PATIENCE_MS);
  const [, , file = ''] = versions.app;
  const pid = readdirSync('/proc').find((one) => {
    try {
      return /^\d+$/.test(one) && readFileSync(`/proc/${one}/cmdline`, 'utf8').split('\0')[2] === file;
    } catch {
      return false;
    }
  });
  process.kill(Number(pid), 'SIGKILL');
  await eventually('another one serves', () => served(agent) === 3, PATIENCE_MS);
  await becomes('both are ready again', ({ slots }) => slots === 2 * CONCURRENCY);
  expect((await picture())?.instances).toHaveLength(2);
});

test('a node without Redis gives starts to its agents by itself', async () => {
  const lone = await startNode(null, ['--max-instances', '4']);
  running.push(lone);
  const linker = { proxies: [lone.backend], route, concurrency: CONCURRENCY, app: versions.app };
  const agent = await startLinker({ ...linker, args: ['--instances', '0-4'] });
  running.push(agent);
  await fetch(`${lone.admin}/api/v1/routes/${route}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ maxInstances: 4, concurrency: CONCURRENCY }),
  });
  await eventually('the node knows the agent', () => lone.logs.some(({ msg }) => msg === 'agent linked'), PATIENCE_MS);
  const answers = crowd(4, () => lone.url, { host: route, path: '/gate' });
  const isServed = async (): Promise<boolean> => (await state(lone)).routes.find(({ name }) => name === route)?.active === 4;
  await eventually('all are served', isServed, PATIENCE_MS);
  expect(served(agent)).toBe(2);
  versions.openGate();
  expect(statuses(await answers)).toEqual({ '200': 4 });
});
