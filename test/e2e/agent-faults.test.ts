/** Agents that are killed, frozen, told to leave at a bad time, or lose their node: no client is lost that another one can serve, and nothing is left behind. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { FAILURES_MAX, RETRY_FIRST_MS } from '../../src/cluster/start-limits.ts';
import { agentStage, CONCURRENCY, PATIENCE_MS, served } from '../support/agent-stage.ts';
import { crowd, statuses } from '../support/clients.ts';
import { type ClusterNode, startNode, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { ownDirectory, startProcess } from '../support/processes.ts';
import type { Mode } from '../support/versions.ts';

jest.setTimeout(240_000);

const FAILED = 'pullproxy; error=destination_unavailable; details=start_failed';

const stage = agentStage((redis) => startProcess(['scaler', '--redis', redis, '--rate', '50/1s', '--agents-only']));

test('an agent that is killed with requests inside leaves no process behind, and others are served elsewhere', async () => {
  const first = await stage.startAgent(0, '0-4');
  const inside = stage.clients(4);
  await stage.becomes('they are inside', ({ active }) => active === 4);
  const lost = stage.applications;
  expect(lost).toHaveLength(2);
  const second = await stage.startAgent(1, '0-4');
  first.kill('SIGKILL');
  await eventually('its applications have ended', () => !stage.applications.some((pid) => lost.includes(pid)), PATIENCE_MS);
  const later = stage.clients(2);
  await eventually('the other agent serves', () => served(second) > 0, PATIENCE_MS);
  stage.versions.openGate();
  expect(statuses(await later)).toEqual({ '200': 2 });
  // What may be repeated safely was repeated.
  for (const { status } of await inside) expect([200, 502]).toContain(status);
  await stage.becomes('it is not seen any more', ({ agents }) => agents?.count === 1);
});

test('an agent that is frozen gets no starts, and comes back with its instances', async () => {
  const first = await stage.startAgent(0, '1-4');
  await stage.becomes('its own instance is ready', ({ slots }) => slots === CONCURRENCY);
  const applications = stage.applications;
  first.kill('SIGSTOP');
  await stage.becomes('it is not there', ({ instances, agents }) => instances.length === 0 && agents === undefined);
  const second = await stage.startAgent(1, '0-4');
  const meanwhile = stage.clients(2);
  await stage.becomes('others serve', ({ active }) => active === 2);
  expect(served(second)).toBe(1);
  first.kill('SIGCONT');
  await stage.becomes('it is back', ({ slots, agents }) => slots === 2 * CONCURRENCY && agents?.count === 2);
  expect(stage.applications).toEqual(expect.arrayContaining([...applications]));
  expect(served(first)).toBe(1);
  stage.versions.openGate();
  expect(statuses(await meanwhile)).toEqual({ '200': 2 });
});

test('an agent that is told to leave while instances start gives their starts to another one, and ends', async () => {
  stage.versions.deploy('v1', 'warms');
  const first = await stage.startAgent(0, '0-4');
  const crowded = stage.clients(4);
  await stage.becomes('two instances start there', ({ agents }) => agents?.starting === 2);
  const second = await stage.startAgent(1, '0-4');
  first.kill('SIGTERM');
  expect(await first.exit).toEqual({ code: 0, signal: null });
  await stage.becomes('both start elsewhere', ({ agents }) => agents?.count === 1 && agents.starting === 2);
  stage.versions.warm();
  await stage.becomes('all are served', ({ active }) => active === 4);
  expect([served(first), served(second), stage.applications.length]).toEqual([0, 2, 2]);
  stage.versions.openGate();
  expect(statuses(await crowded)).toEqual({ '200': 4 });
});

test('a start goes on when the node of its agent is killed: its instance serves at another node', async () => {
  const nodes = await Promise.all(['c', 'd'].map((id) => startNode(stage.redis.url, ['--id', id])));
  const [c, d] = nodes as [ClusterNode, ClusterNode];
  stage.running.push(c, d);
  stage.versions.deploy('v1', 'warms');
  const agent = await stage.startAgentAt([c, d], stage.versions.app, '0-4');
  const crowded = stage.clients(2);
  await stage.becomes('it starts there', ({ agents }) => agents?.starting === 1);
  const isHome = ({ logs }: ClusterNode): boolean => logs.some(({ msg, agent: id }) => msg === 'agent linked' && id === agent.ready.agent);
  const [home, other] = isHome(c) ? [c, 'd'] : [d, 'c'];
  home.kill('SIGKILL');
  await stage.becomes('the agent is at the other node', ({ agents }) => agents?.shown[0]?.node === other);
  stage.versions.warm();
  await stage.becomes('they are served', ({ active }) => active === 2);
  stage.versions.openGate();
  expect(statuses(await crowded)).toEqual({ '200': 2 });
});

describe.each<[string, Mode]>([
  ['ends before it is ready', 'exit'],
  ['ends as soon as it is ready', 'fades'],
])('an application that %s', (_, mode) => {
  test('is started a few times by its agent, then after pauses; clients are told so at once, and operators why', async () => {
    stage.versions.deploy('bad', mode);
    const agent = await stage.startAgent(0, '0-4');
    const beganAt = performance.now();
    const isRefused = async (): Promise<boolean> => (await stage.clients(1, '/'))[0]?.headers['proxy-status'] === FAILED;
    await eventually('clients are told so', isRefused, PATIENCE_MS);
    await stage.becomes(
      'the agent is said to have failed',
      ({ agents, trouble }) => agents !== undefined && (trouble?.failures ?? 0) >= FAILURES_MAX,
    );
    const starts = (): number => agent.logs.filter(({ msg }) => msg === 'instance has left').length;
    await eventually('each failure was a start of its own', () => starts() >= FAILURES_MAX, PATIENCE_MS);
    // One more may have been under way at the last failure, and pauses double from then on.
    const pauses = Math.floor(Math.log2((performance.now() - beganAt) / RETRY_FIRST_MS + 1));
    expect(starts()).toBeLessThanOrEqual(FAILURES_MAX + 1 + pauses);
    const troubles = (await state(stage.nodes[0])).troubles.filter(({ route, code }) => route === stage.route && code === 'starts_fail');
    expect(troubles).toMatchObject([{ advice: expect.stringContaining('where the agent runs') }]);
  });
});

test('a command that does not exist is said, and the agent stays', async () => {
  const agent = await stage.startAgentAt([stage.nodes[0]], ['/nowhere/no-such-program'], '0-2');
  const [answer] = await stage.clients(1, '/');
  expect(answer).toMatchObject({ status: 503, headers: { 'proxy-status': FAILED } });
  await stage.becomes('why is said', ({ agents }) => /ENOENT|no such file/i.test(agents?.shown[0]?.failure?.reason ?? ''));
  agent.kill('SIGTERM');
  expect(await agent.exit).toEqual({ code: 0, signal: null });
});

test('an agent takes starts on after the secret was replaced', async () => {
  const directory = ownDirectory();
  const put = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
    return path;
  };
  const file = put('node', 'old\n');
  const node = await startNode(null, ['--secret-file', file, '--max-instances', '4'], { PULLPROXY_SECRET: '' });
  stage.running.push(node);
  const secret = put('agent', 'old\n');
  const args = ['linker', '--proxy', node.backend, '--route', stage.route, '--concurrency', '2', '--instances', '0-4'];
  const agent = await startProcess([...args, '--secret-file', secret, '--', ...stage.versions.app]);
  stage.running.push(agent);
  const settings = JSON.stringify({ maxInstances: 4, concurrency: CONCURRENCY });
  const headers = { 'content-type': 'application/json' };
  await fetch(`${node.admin}/api/v1/routes/${stage.route}`, { method: 'PUT', headers, body: settings });
  const links = (): number => node.logs.filter(({ msg }) => msg === 'agent linked').length;
  await eventually('the node knows the agent', () => links() === 1, PATIENCE_MS);
  const clients = (count: number) => crowd(count, () => node.url, { host: stage.route, path: '/gate' });
  const first = clients(2);
  await eventually('one instance serves', () => served(agent) === 1, PATIENCE_MS);
  put('node', 'old\nnew\n');
  await node.logged(({ msg, secrets }) => msg === 'secrets reloaded' && secrets === 2, PATIENCE_MS);
  put('agent', 'new\n');
  put('node', 'new\n');
  await node.logged(({ msg, secrets }) => msg === 'secrets reloaded' && secrets === 1, PATIENCE_MS);
  await eventually('the agent is linked anew', () => links() === 2, PATIENCE_MS);
  const second = clients(2);
  await eventually('another one serves', () => served(agent) === 2, PATIENCE_MS);
  stage.versions.openGate();
  expect(statuses([...(await first), ...(await second)])).toEqual({ '200': 4 });
});
