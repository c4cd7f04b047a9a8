/** Limits as they are now, and who has set them, wherever an operator looks: state, page, status, metrics. */
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { TestBrowser } from '../../support/browser.ts';
import { ask } from '../../support/clients.ts';
import { type ClusterNode, metric, startLinker, startNode, state } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { type Running, runCommand } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const ROUTE = 'limits.example.com';
/** It says what the path says, and where its control socket is. */
const APP = `require('node:http').createServer((request, response) => {
  const said = request.url.slice(1);
  if (said !== '') response.setHeader('Pullproxy-Concurrency', decodeURIComponent(said));
  response.end(process.env.PULLPROXY_CONTROL);
}).listen(process.env.PORT, '127.0.0.1')`;

let redis: RedisServer;
let browser: TestBrowser;
let node: ClusterNode;
let linker: Running;

beforeAll(async () => {
  [redis, browser] = await Promise.all([startRedis(), TestBrowser.launch()]);
  node = await startNode(redis.url);
  linker = await startLinker({ proxies: [node.backend], route: ROUTE, concurrency: 6, app: [process.execPath, '-e', APP] });
});

afterAll(async () => {
  await linker.stop();
  await node.stop();
  await browser.close();
  await redis.stop();
});

function put(socketPath: string, limit: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method: 'PUT', path: '/concurrency' }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    });
    asked.once('error', reject).end(limit);
  });
}

const say = (text: string) => ask(node.url, { host: ROUTE, path: `/${encodeURIComponent(text)}` });

test('state, page, status and metrics show a limit and who has set it: the flag, the header, the socket', async () => {
  const { page } = await browser.open(`${node.admin}/#route=${ROUTE}`);
  const shown = async (concurrency: number, setBy: string, instanceState = 'ready'): Promise<void> => {
    await eventually(`the state shows ${concurrency} by ${setBy}`, async () => {
      const [route] = (await state(node)).routes;
      expect(route).toMatchObject({ slots: concurrency, instances: [{ concurrency, setBy, state: instanceState }] });
      return true;
    });
    await eventually(`the page shows ${concurrency} by ${setBy}`, async () => {
      const there = await page.evaluate(
        `[...document.querySelectorAll('[title^="limit set by"]')].map((at) => at.innerText + ', ' + at.title)`,
      );
      expect(there).toEqual([`0 / ${concurrency}, limit set by: ${setBy}`]);
      return true;
    });
    const { stdout } = await runCommand(['status', '--redis', redis.url], { env: { COLUMNS: '200' } });
    expect(stdout).toMatch(/SET BY/);
    expect(stdout).toMatch(new RegExp(`${instanceState} +\\d+ +${concurrency} +${setBy}\\b`));
    await eventually('metrics show it', async () => (await metric(node, 'pullproxy_slots', { route: ROUTE })) === concurrency);
  };
  const changes = (by: string) => metric(node, 'pullproxy_concurrency_changes_total', { route: ROUTE, by });

  await shown(6, 'flag');
  const { body: socketPath } = await say('3');
  await shown(3, 'header');
  expect([await changes('header'), await changes('control')]).toEqual([1, 0]);
  expect(await put(socketPath, '8')).toBe(200);
  await shown(8, 'control');
  // What can't be is ignored, and counted.
  await say('many');
  await shown(8, 'control');
  expect(await put(socketPath, 'many')).toBe(400);
  expect(await put(socketPath, '0')).toBe(200);
  await shown(0, 'control', 'paused');
  expect(await put(socketPath, '2')).toBe(200);
  await shown(2, 'control');
  expect([await changes('header'), await changes('control')]).toEqual([1, 3]);
}, 120_000);
