/** Agents of a route on the page, in a real browser. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { saysEventually, TestBrowser } from '../support/browser.ts';
import { startLinker, startNode } from '../support/cluster.ts';

const ROUTE = 'agents.example.com';
const LOW_CONTRASTS = readFileSync(new URL('../support/low-contrasts.js', import.meta.url), 'utf8');

let browser: TestBrowser;

beforeAll(async () => {
  browser = await TestBrowser.launch();
});
afterAll(() => browser?.close());

test('agents of a route are shown with their machine, their instances and their room', async () => {
  const node = await startNode(null, ['--id', 'one']);
  const linker = { proxies: [node.backend], route: ROUTE, concurrency: 2, app: COUNTING_APP };
  const agent = await startLinker({ ...linker, args: ['--instances', '1-3'] });
  const { page, complaints } = await browser.open(node.admin);
  const row = `${agent.ready.agent} ${hostname()} one 1 of 1 to 3 2 no failure`;
  await saysEventually(page, '#routes', new RegExp(`1 agent with room for 2 more instances .*${row}`));
  expect([await page.evaluate(LOW_CONTRASTS), complaints]).toEqual([[], []]);
  await agent.stop();
  await node.stop();
});
