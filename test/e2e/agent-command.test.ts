/** Agents beside a startup command: the command runs where no agent has room. */
import { afterAll, expect, jest, test } from '@jest/globals';
import { agentStage, CONCURRENCY, served } from '../support/agent-stage.ts';
import { statuses } from '../support/clients.ts';
import { Ledger, startScaler } from '../support/cluster.ts';
import { Versions } from '../support/versions.ts';

jest.setTimeout(240_000);

const ledger = new Ledger();
/** The application of the startup command's instances. */
const commanded = new Versions();
commanded.deploy('by-command');

const stage = agentStage((redis, { nodes: [{ backend }] }) =>
  startScaler(redis, { proxies: [backend], concurrency: CONCURRENCY, app: commanded.app }, ledger, ['--rate', '50/1s']),
);

afterAll(() => {
  ledger.remove();
  commanded.remove();
});

test('a crowd that agents have no room for is served by instances of the startup command, and no start is made twice', async () => {
  const agents = [await stage.startAgent(0, '0-1'), await stage.startAgent(1, '0-1')];
  const crowded = stage.clients(8);
  await stage.becomes('all are served', ({ active }) => active === 8);
  expect([agents.map(served), ledger.lines(ledger.commands).length]).toEqual([[1, 1], 2]);
  await stage.becomes('nothing more starts', ({ instances, starting }) => instances.length === 4 && starting === 0);
  stage.versions.openGate();
  commanded.openGate();
  expect(statuses(await crowded)).toEqual({ '200': 8 });
});
