/** Routes in files: a node that follows them (--routes), and `route apply` and `route export`. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { createRedisDirectory } from '../../../src/cluster/redis/open.ts';
import { createLog } from '../../../src/log.ts';
import { startNode } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { runCommand } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const directory = mkdtempSync(join(tmpdir(), 'pullproxy-routes-'));
const at = (name: string): string => join(directory, name);
jest.setTimeout(400_000);
let redis: RedisServer;
let routes: ReturnType<typeof createRedisDirectory>;

beforeAll(async () => {
  redis = await startRedis();
  routes = createRedisDirectory({ url: redis.url, log: createLog('test', 'silent') });
  await routes.ready(60_000);
});
afterAll(async () => {
  await routes?.close();
  await redis?.stop();
  rmSync(directory, { recursive: true });
});

const pullproxy = (...args: string[]) => runCommand([...args, '--redis', redis.url]);

/** Put there as a whole. */
function write(name: string, content: Readonly<Record<string, unknown>> | string): void {
  writeFileSync(at('new'), typeof content === 'string' ? content : JSON.stringify({ routes: content }));
  renameSync(at('new'), at(name));
}

async function stored(): Promise<Record<string, unknown>> {
  return Object.fromEntries([...(await routes.routes())].sort(([a], [b]) => (a < b ? -1 : 1)));
}

test('of a directory are followed: all of them or nothing, and what was set elsewhere stays', async () => {
  write('a.yaml', { 'a.test': { maxInstances: 2 }, 'gone.test': {}, 'kept.test': { maxHeld: 5 } });
  const node = await startNode(redis.url, ['--routes', directory]);
  await eventually('they are set', async () => Object.keys(await stored()).length === 3, 60_000);
  // When a later change is there, the former ones are all done, however slow Redis was.
  write('a.yaml', { 'a.test': { maxInstances: 3 }, 'gone.test': {}, 'kept.test': { maxHeld: 5 } });
  await eventually('the change is set', async () => JSON.stringify((await stored())['a.test']) === '{"maxInstances":3}', 60_000);
  await routes.setRoute('kept.test', { maxHeld: 6 });
  await routes.setRoute('mine.test', { maxHeld: 7 });

  write('b.yaml', { 'b.test': {} });
  write('a.yaml', { 'a.test': { maxInstances: 4 } });
  const next = { 'a.test': { maxInstances: 4 }, 'b.test': {}, 'kept.test': { maxHeld: 6 }, 'mine.test': { maxHeld: 7 } };
  await eventually('the difference is set', async () => JSON.stringify(await stored()) === JSON.stringify(next), 60_000);

  // One file that is wrong keeps the other one from counting, too.
  write('c.yaml', { 'c.test': {} });
  write('b.yaml', 'routes: {b.test: {maxInstances: many}}');
  await node.logged(({ msg }) => msg === 'the files with routes can not be used: nothing was changed', 60_000);
  expect(await stored()).toEqual(next);
  rmSync(at('a.yaml'));
  write('b.yaml', { 'b.test': {} });
  await node.logged(({ msg, routes: count }) => msg === 'the routes of the files are set anew' && count === 2, 60_000);
  await eventually(
    'all of it counts',
    async () => {
      return (
        JSON.stringify(await stored()) ===
        JSON.stringify({ 'b.test': {}, 'c.test': {}, 'kept.test': { maxHeld: 6 }, 'mine.test': { maxHeld: 7 } })
      );
    },
    60_000,
  );

  // A directory that is empty all at once, as one that is not mounted, deletes nothing.
  rmSync(at('b.yaml'));
  rmSync(at('c.yaml'));
  await eventually('it is refused', () => node.logs.filter(({ msg }) => /can not be used/.test(String(msg))).length >= 2, 60_000);
  expect(Object.keys(await stored())).toContain('b.test');
  await node.stop();
});

test('of two nodes count together', async () => {
  const [one, two] = [at('one.txt'), at('two.txt')];
  writeFileSync(one, JSON.stringify({ routes: { 'one.test': {}, 'both.test': { maxHeld: 1 } } }));
  writeFileSync(two, JSON.stringify({ routes: { 'two.test': {}, 'both.test': { maxHeld: 1 } } }));
  const nodes = await Promise.all([one, two].map((file) => startNode(redis.url, ['--routes', file])));
  const has = async (name: string): Promise<boolean> => name in (await stored());
  await eventually('both are set', async () => (await has('one.test')) && (await has('two.test')), 60_000);
  // The one that loses it deletes it, though the other one has it still: a route belongs into all files.
  writeFileSync(one, JSON.stringify({ routes: { 'one.test': {} } }));
  await eventually('it is gone', async () => !(await has('both.test')), 60_000);
  expect(await has('two.test')).toBe(true);
  await Promise.all(nodes.map((node) => node.stop()));
});

test('are applied and exported', async () => {
  for (const name of Object.keys(await stored())) await routes.setRoute(name, null);
  await routes.setRoute('app.test', { maxInstances: 4, maxHeld: 5 });
  await routes.setRoute('other.test', {});
  const file = at('routes.txt');
  writeFileSync(file, 'routes:\n  app.test:\n    maxInstances: 8\n  new.test:\n    match: [shop.test, www.shop.test]\n');
  const lines = ['~ app.test', '    maxHeld: 5 -> default', '    maxInstances: 4 -> 8', '+ new.test'];
  const dry = await pullproxy('route', 'apply', '-f', file, '--dry-run');
  expect([dry.code, dry.stdout.split('\n').slice(0, 4)]).toEqual([0, lines]);
  expect(dry.stdout).toMatch(/^Dry run, nothing is set: 2 would be changed, 0 as the file says already\.$/m);
  expect(await stored()).toEqual({ 'app.test': { maxHeld: 5, maxInstances: 4 }, 'other.test': {} });

  expect((await pullproxy('route', 'apply', '-f', file)).stdout).toMatch(/^2 changed, 0 as the file says already\.$/m);
  const exported = (await pullproxy('route', 'export')).stdout;
  expect(exported).toMatch(/^routes:\n {2}app\.test:\n {4}maxInstances: 8\n/);
  expect((await pullproxy('route', 'apply', '--prune', '-f', file)).stdout).toBe('- other.test\n1 changed, 2 as the file says already.\n');

  // What was exported says the same again.
  writeFileSync(file, exported);
  expect((await pullproxy('route', 'apply', '-f', file)).stdout).toBe('+ other.test\n1 changed, 2 as the file says already.\n');
  const now = await stored();

  // Nothing of a file that is wrong is set, nor of one with a host of another route.
  writeFileSync(file, 'routes: {one.test: {}, two.test: {match: shop.test}}');
  expect(await pullproxy('route', 'apply', '-f', file)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/shop\.test/) });
  expect(await stored()).toEqual(now);
  expect(await pullproxy('route', 'apply')).toMatchObject({ code: 2, stderr: expect.stringMatching(/-f FILE/) });
});
