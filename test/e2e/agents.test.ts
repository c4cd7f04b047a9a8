/** Agents: one linker process for several instances of a machine, which takes starts from the scaler instead of a startup command. */
import { readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { expect, jest, test } from '@jest/globals';
import { agentStage, CONCURRENCY, PATIENCE_MS, served } from '../support/agent-stage.ts';
import { crowd, statuses } from '../support/clients.ts';
import { metric, startLinker, startNode, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { runCommand, startProcess } from '../support/processes.ts';

// Processes of Node start one after the other: on a busy machine that takes long.
jest.setTimeout(240_000);

const stage = agentStage((redis) => startProcess(['scaler', '--redis', redis, '--rate', '50/1s', '--agents-only']));

test('a crowd starts exactly the instances that it needs, on the agents with the most room, and idle ones leave', async () => {
  const idle = ['--idle-timeout', '5s', '--old-idle-timeout', '5s'];
  const [large, small] = [await stage.startAgent(0, '0-5', ...idle), await stage.startAgent(1, '0-3', ...idle)];
  const crowded = stage.clients(12);
  await stage.becomes('all are served', ({ active }) => active === 12);
  await eventually('all are said', () => served(large) + served(small) >= 6, PATIENCE_MS);
  expect([served(large) + served(small), stage.applications.length]).toEqual([6, 6]);
  expect(served(large)).toBeGreaterThan(served(small));
  expect(served(small)).toBeGreaterThan(0);
  stage.versions.openGate();
  expect(statuses(await crowded)).toEqual({ '200': 12 });
  await stage.becomes('all have left', ({ instances }) => instances.length === 0);
  await eventually('the applications have ended', () => stage.applications.length === 0, PATIENCE_MS);
  expect([large.pid, small.pid].map((pid) => readdirSync(`/proc/${pid}`).length > 0)).toEqual([true, true]);
});

test('who finds no room is held, and served by the agent that comes next', async () => {
  const first = await stage.startAgent(0, '0-1');
  const crowded = stage.clients(4);
  await stage.becomes('two are served and two are held', ({ active, held }) => active === 2 && held === 2);
  const second = await stage.startAgent(1, '0-4');
  await stage.becomes('all are served', ({ active }) => active === 4);
  expect([served(first), served(second)]).toEqual([1, 1]);
  expect((await stage.picture())?.trouble).toBeNull();
  stage.versions.openGate();
  expect(statuses(await crowded)).toEqual({ '200': 4 });
});

test('an agent that is killed loses its own instances, whose applications end, and its starts are given to another one', async () => {
  stage.versions.deploy('v1', 'warms');
  const [first, second] = [await stage.startAgent(0, '0-4'), await stage.startAgent(1, '0-4')];
  const crowded = stage.clients(4);
  await stage.becomes('one instance starts on each', ({ starting, instances }) => starting === 2 && instances.length === 2);
  await eventually('the applications run', () => stage.applications.length === 2, PATIENCE_MS);
  first.kill('SIGKILL');
  await stage.becomes(
    'another one starts on the other',
    ({ starting, instances }) => starting === 2 && instances.length === 2 && instances.every(({ node }) => node === 'b'),
  );
  await eventually('the guard has ended the application of the killed agent', () => stage.applications.length === 2, PATIENCE_MS);
  stage.versions.warm();
  await stage.becomes('all are served', ({ active }) => active === 4);
  expect([served(first), served(second)]).toEqual([0, 2]);
  stage.versions.openGate();
  expect(statuses(await crowded)).toEqual({ '200': 4 });
});

test('an agent that leaves serves what it has, takes no start, and ends with 0', async () => {
  const leaver = await stage.startAgent(0, '0-4');
  const first = stage.clients(2);
  await stage.becomes('they are served', ({ active }) => active === 2);
  const stayer = await stage.startAgent(1, '0-4');
  leaver.kill('SIGTERM');
  await leaver.logged(({ msg }) => msg === 'agent draining', PATIENCE_MS);
  const second = stage.clients(2);
  await stage.becomes('the next ones are served, too', ({ active }) => active === 4);
  expect([served(leaver), served(stayer)]).toEqual([1, 1]);
  stage.versions.openGate();
  expect(statuses(await first)).toEqual({ '200': 2 });
  expect(statuses(await second)).toEqual({ '200': 2 });
  expect(await leaver.exit).toEqual({ code: 0, signal: null });
});

test('an agent keeps its least number of instances, also when one of them ends', async () => {
  const agent = await stage.startAgent(0, '2-3', '--idle-timeout', '200ms', '--old-idle-timeout', '100ms');
  await stage.becomes('both are ready', ({ slots }) => slots === 2 * CONCURRENCY);
  await eventually('an idle one was asked about', () => served(agent) === 2, PATIENCE_MS);
  process.kill(stage.applications[0] ?? 0, 'SIGKILL');
  await eventually('another one serves', () => served(agent) === 3, PATIENCE_MS);
  await stage.becomes('both are ready again', ({ slots }) => slots === 2 * CONCURRENCY);
  expect((await stage.picture())?.instances).toHaveLength(2);
});

test('agents are seen: in the state, in metrics, by status and inspect, with the reason of a start that failed', async () => {
  const { route } = stage;
  const first = await stage.startAgent(0, '0-1');
  const crowded = stage.clients(2);
  await stage.becomes('two are served on one', ({ active }) => active === 2);
  const second = await stage.startAgent(1, '0-2');
  const more = stage.clients(2);
  await stage.becomes('and two on the other', ({ active }) => active === 4);
  const [a, b] = [first, second].map(({ ready }) => String(ready.agent));
  const machine = hostname();
  await stage.becomes('their room is said', ({ agents }) => agents?.running === 2 && agents.room === 1 && agents.starting === 0);
  expect((await stage.picture())?.agents?.shown.toSorted((x, y) => x.node.localeCompare(y.node))).toEqual([
    { id: a, node: 'a', room: 0, running: 1, starting: 0, least: 0, most: 1, machine },
    { id: b, node: 'b', room: 1, running: 1, starting: 0, least: 0, most: 2, machine },
  ]);
  const sum = async (name: string, labels: Readonly<Record<string, string>> = { route }): Promise<number> =>
    (await metric(stage.nodes[0], name, labels)) + (await metric(stage.nodes[1], name, labels));
  expect([await sum('pullproxy_agents'), await sum('pullproxy_agent_room'), await sum('pullproxy_agent_instances')]).toEqual([2, 1, 2]);
  expect(await sum('pullproxy_agent_starts_total', { route, result: 'taken' })).toBe(2);
  stage.versions.deploy('v2', 'exit');
  const failing = stage.clients(1);
  await stage.becomes('the failure is said', ({ agents }) => agents?.shown[0]?.failure !== undefined);
  expect((await stage.picture())?.agents?.shown[0]).toMatchObject({ id: b, failure: { reason: expect.stringContaining('code 3') } });
  expect(await sum('pullproxy_agent_starts_total', { route, result: 'failed' })).toBeGreaterThan(0);
  const status = await runCommand(['status', '--redis', stage.redis.url]);
  expect(status.stdout).toMatch(new RegExp(`Agents\\n.*AGENT .*ROOM.*\\n(.*\\n)*  ${b} +${route} `));
  const inspected = await runCommand(['inspect', route, '--redis', stage.redis.url]);
  expect(inspected.stdout).toMatch(new RegExp(`pp:\\{${route}\\}:agents .*\\n.*agents that are linked`));
  stage.versions.deploy('v3');
  stage.versions.openGate();
  expect(statuses([...(await crowded), ...(await more)])).toEqual({ '200': 4 });
  expect(statuses(await failing)).toEqual({ '200': 1 });
  first.kill('SIGTERM');
  await stage.becomes('the one that has left is not seen any more', ({ agents }) => agents?.count === 1);
});

test('a node without Redis gives starts to its agents by itself', async () => {
  const lone = await startNode(null, ['--max-instances', '4']);
  stage.running.push(lone);
  const { route } = stage;
  const linker = { proxies: [lone.backend], route, concurrency: CONCURRENCY, app: stage.versions.app };
  const agent = await startLinker({ ...linker, args: ['--instances', '0-4'] });
  stage.running.push(agent);
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
  stage.versions.openGate();
  expect(statuses(await answers)).toEqual({ '200': 4 });
});
