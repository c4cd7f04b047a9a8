/** Keys of a route on the page, in a real browser. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { saysEventually, TestBrowser } from '../support/browser.ts';
import { startLinker, startNode } from '../support/cluster.ts';

const ROUTE = 'keyed.example.com';
const LOW_CONTRASTS = readFileSync(new URL('../support/low-contrasts.js', import.meta.url), 'utf8');

let browser: TestBrowser;

beforeAll(async () => {
  browser = await TestBrowser.launch();
});
afterAll(() => browser?.close());

test('keys of a route that are awake are folded under it', async () => {
  const node = await startNode(null, ['--id', 'keys']);
  const body = JSON.stringify({ key: 'header:x-user', maxInstances: 1 });
  const headers = { 'content-type': 'application/json' };
  expect((await fetch(`${node.admin}/api/v1/routes/${ROUTE}`, { method: 'PUT', headers, body })).status).toBe(200);
  const users = Array.from({ length: 6 }, (_, i) => `user${i}`);
  const linkers = await Promise.all(
    users.map((user) => startLinker({ proxies: [node.backend], route: ROUTE, concurrency: 2, app: COUNTING_APP, args: ['--key', user] })),
  );
  const { page, complaints } = await browser.open(node.admin);
  await saysEventually(
    page,
    '#routes',
    /6 instances of at most 1 for each key 6 keys awake user0 0 held 0 \/ 2 busy 1 instance .*user4 .* Show 1 more .*user\d newest/,
  );
  await page.click('text=Show 1 more');
  await saysEventually(page, '#routes', /6 keys awake .*user5 0 held/);
  expect([await page.evaluate(LOW_CONTRASTS), complaints]).toEqual([[], []]);
  await Promise.all(linkers.map((linker) => linker.stop()));
  await node.stop();
});
