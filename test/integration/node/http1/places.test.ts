/** Somebody in front of a waiting page keeps the place in the line, and nobody gets more than that. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { MemoryDirectory } from '../../../../src/cluster/memory/directory.ts';
import { createMemoryCluster } from '../../../../src/cluster/memory/open.ts';
import type { RouteRecord } from '../../../../src/config/route-settings.ts';
import { createLog } from '../../../../src/log.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNode, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(closeEverything);

const BROWSER = 'Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nUser-Agent: a browser\r\n';
const node = (more: RouteRecord = {}) =>
  startLoneNode({ routes: { 'app.test': { waitingPageAfter: '50ms', holdTimeout: '20s', ...more } } });

type Client = Awaited<ReturnType<typeof connectClient>>;

/** The request is held when it resolves. `path`: what the application is asked for. */
async function held({ port, node: own }: LoneNode, path: string, headers: string): Promise<Client> {
  const before = own.held;
  const client = await connectClient(port);
  client.send(`GET ${path} HTTP/1.1\r\nHost: app.test\r\n${headers}\r\n`);
  await eventually(`${path} is held`, () => own.held === before + 1);
  return client;
}

/** Somebody opens a page and is shown that it waits: the cookie. */
async function waits(at: LoneNode, headers = BROWSER, more: RouteRecord = {}): Promise<string> {
  await eventually('the time is known', () => at.node.cluster.now !== null);
  const client = await connectClient(at.port);
  client.send(`GET /page HTTP/1.1\r\nHost: app.test\r\n${headers}\r\n`);
  const answer = await client.response();
  expect(answer.status).toBe(503);
  const [cookie = ''] = answer.values('set-cookie');
  expect(cookie).toMatch(/^pullproxy-place=[\w.-]+; Path=\/; Max-Age=15; HttpOnly; SameSite=Lax$/);
  client.end();
  // Nobody is shown another page before the test is over.
  await at.node.cluster.setRoute('app.test', { waitingPageAfter: '5m', holdTimeout: '5m', ...more });
  await eventually('the node knows it', () => at.node.routes.get('app.test')?.settings.waitingPageAfterMs === 300_000);
  return `Cookie: other=1; ${cookie.slice(0, cookie.indexOf(';'))}\r\n`;
}

/** An instance with one slot serves all who are held, one after the other: in which order. */
async function served({ backendPort, node: own }: LoneNode): Promise<string[]> {
  const asked: string[] = [];
  const app = await ScriptedApp.serving((request) => {
    asked.push(request.startLine.split(' ')[1] ?? '');
    return ok('served');
  });
  await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test', concurrency: 1 });
  await eventually('all are served', () => own.held === 0);
  await eventually('all are done', () => own.active === 0);
  return asked;
}

describe('a browser in front of its page', () => {
  test('keeps its place in the line', async () => {
    const at = await node();
    const cookie = await waits(at);
    await held(at, '/younger', '');
    const client = await held(at, '/page', BROWSER + cookie);
    expect(await served(at)).toEqual(['/page', '/younger']);
    expect((await client.response()).status).toBe(200);
  });

  test('keeps it at another node that shares the secret and the directory, for one request over both', async () => {
    const directory = new MemoryDirectory();
    const log = createLog('test', 'silent');
    const join = (id: string) =>
      startLoneNode({
        id,
        secrets: () => ['a secret that nodes share'],
        cluster: (address) => createMemoryCluster({ self: { id, address }, version: 'test', log, directory }).cluster,
        routes: { 'app.test': { waitingPageAfter: '50ms', holdTimeout: '20s' } },
      });
    const [first, second] = [await join('n1'), await join('n2')];
    const cookie = await waits(first);
    await eventually('both know it', () => second.node.routes.get('app.test')?.settings.waitingPageAfterMs === 300_000);
    await held(second, '/younger', '');
    await held(second, '/page', BROWSER + cookie);
    await held(first, '/also', BROWSER + cookie);
    const line = second.node.routes.get('app.test')?.held;
    expect([line?.oldest?.isTimeless, first.node.routes.get('app.test')?.held.oldest?.isTimeless]).toEqual([true, false]);
  });

  test('has one place for one request at a time, and not again when that had a slot', async () => {
    const at = await node();
    const cookie = await waits(at);
    await held(at, '/younger', '');
    await held(at, '/page', BROWSER + cookie);
    await held(at, '/second-tab', BROWSER + cookie);
    expect(await served(at)).toEqual(['/page', '/younger', '/second-tab']);
    // The slot is there: what counts is who goes first when it is not.
    for (const { link } of at.node.routes.get('app.test')?.slots.lenders ?? []) link.giveBack(1);
    await held(at, '/other', '');
    await held(at, '/again', BROWSER + cookie);
    const line = at.node.routes.get('app.test')?.held;
    expect([line?.size, line?.oldest?.place]).toEqual([2, null]);
  });

  test('keeps it in its own line, where values have shares, and its line keeps its turn', async () => {
    const fair = { fairBy: 'header:X-Tenant', trustClients: true };
    const of = (tenant: string, headers = ''): string => `X-Tenant: ${tenant}\r\n${headers}`;
    const at = await node(fair);
    const cookie = await waits(at, of('x', BROWSER), fair);
    for (const i of [1, 2, 3]) await held(at, `/y${i}`, of('y'));
    await held(at, '/x-younger', of('x'));
    const client = await held(at, '/page', of('x', BROWSER + cookie));
    const asked = await served(at);
    // By age it would be the first, and the younger one of its tenant the last.
    expect(asked.filter((path) => path.startsWith('/y'))).toEqual(['/y1', '/y2', '/y3']);
    expect(asked.filter((path) => !path.startsWith('/y'))).toEqual(['/page', '/x-younger']);
    expect([asked.indexOf('/page') <= 1, asked.indexOf('/x-younger') <= 3]).toEqual([true, true]);
    expect((await client.response()).status).toBe(200);
  });

  test('keeps it in the line of its key, and not in that of another key', async () => {
    const keyed = { key: 'header:X-User', maxInstances: 1 };
    const of = (user: string, headers = ''): string => `X-User: ${user}\r\n${headers}`;
    const at = await node(keyed);
    const cookie = await waits(at, of('ann', BROWSER), keyed);
    await held(at, '/younger', of('ann'));
    await held(at, '/thief', of('bob', BROWSER + cookie));
    await held(at, '/page', of('ann', BROWSER + cookie));
    const line = (key: string) => at.node.routes.get(`app.test~${key}`)?.held;
    expect([line('ann')?.size, line('ann')?.oldest?.isTimeless]).toEqual([2, true]);
    expect([line('bob')?.size, line('bob')?.oldest?.isTimeless]).toEqual([1, false]);
  });

  test('has it also when it reloads while it is held', async () => {
    const at = await node();
    const cookie = await waits(at);
    await held(at, '/younger', '');
    const client = await held(at, '/page', BROWSER + cookie);
    client.end();
    await eventually('it has left', () => at.node.held === 1);
    await held(at, '/reloaded', BROWSER + cookie);
    expect(await served(at)).toEqual(['/reloaded', '/younger']);
  });

  test.each([
    ['another browser', (cookie: string) => `${BROWSER.replace('a browser', 'b browser')}${cookie}`],
    ['one who changes it', (cookie: string) => BROWSER + cookie.replace(/place=./, (text) => `place=${text.endsWith('A') ? 'B' : 'A'}`)],
    ['a program', (cookie: string) => `Accept: */*\r\nUser-Agent: a browser\r\n${cookie}`],
  ])('has it, and not %s', async (_who, headers) => {
    const at = await node();
    const cookie = await waits(at);
    await held(at, '/younger', '');
    await held(at, '/thief', headers(cookie));
    expect(await served(at)).toEqual(['/younger', '/thief']);
  });

  test('is shown its place and the time, once they are known', async () => {
    const at = await node();
    const app = await ScriptedApp.serving(() => ok('served'));
    const linker = await FakeLinker.dial({ backendPort: at.backendPort, appPort: app.port, route: 'app.test', concurrency: 1 });
    const first = await connectClient(at.port);
    first.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    await first.response();
    at.node.cluster.instance('app.test', { id: 'i1', seq: 1, concurrency: 1, state: 'ready', active: 1 });
    // Its only slot is busy for good.
    linker.intercept = () => true;
    const busy = await connectClient(at.port);
    busy.send('GET /busy HTTP/1.1\r\nHost: app.test\r\n\r\n');
    await eventually('it is busy', () => at.node.active === 1);
    await held(at, '/before', '');
    await eventually('it is known who waits', () => at.node.routes.get('app.test')?.newcomerWaitMs(performance.now()) !== null);
    const client = await connectClient(at.port);
    client.send(`GET /page HTTP/1.1\r\nHost: app.test\r\n${BROWSER}\r\n`);
    const page = (await client.response()).body.toString();
    expect(page).toContain('This application is busy.');
    expect(page).toContain('You are number 2 in line.');
    expect(page).toContain('It takes a few seconds.');
  });
});
