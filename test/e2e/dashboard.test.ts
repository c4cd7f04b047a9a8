/** The dashboard in a real browser, served by real nodes that share a Redis, with a scaler of which one application's starts fail. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import type { Page } from 'playwright-core';
import { Gate, startBreakableScaler } from '../support/breakable-scaler.ts';
import { type Look, type Opened, saysEventually, TestBrowser, textOf } from '../support/browser.ts';
import { ask, crowd } from '../support/clients.ts';
import { type ClusterNode, setRoute, startNode, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import type { Running } from '../support/processes.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

const APP = 'app.example.com';
const TOKEN = 'the-token-of-the-tests';
const LOW_CONTRASTS = readFileSync(new URL('../support/low-contrasts.js', import.meta.url), 'utf8');

let redis: RedisServer;
let nodes: Record<'a' | 'b' | 'c', ClusterNode>;
let scaler: Running;
const gate = new Gate();
let browser: TestBrowser;

beforeAll(async () => {
  redis = await startRedis({ args: ['--appendonly', 'yes', '--dir', '/tmp'] });
  await setRoute(redis.url, APP, 'maxInstances=4');
  const start = (id: string) => startNode(redis.url, ['--id', id, '--admin-token', TOKEN]);
  const [a, b, c] = await Promise.all([start('a'), start('b'), start('c')]);
  nodes = { a, b, c };
  scaler = await startBreakableScaler(redis.url, [a, b, c], 5, gate);
  browser = await TestBrowser.launch();
});

afterAll(async () => {
  await browser?.close();
  await redis?.stop();
});

const routeCard = (page: Page, name: string) => page.locator(`[id="route-${name}"]`);

/** A page in which the token was given. */
const signedIn = (url: string, look: Look = {}): Promise<Opened> => browser.open(url, { token: TOKEN, ...look });

/** Loaded nothing from elsewhere, and nothing went wrong. */
function expectCalm({ complaints, requests }: Opened, node: ClusterNode): void {
  expect(complaints).toEqual([]);
  expect(requests.filter((url) => !url.startsWith(`${node.admin}/`))).toEqual([]);
}

describe('the dashboard', () => {
  test('shows the whole cluster from any node, loads nothing from elsewhere, and is small', async () => {
    expect((await ask(nodes.a.url, { host: APP })).status).toBe(200);
    const opened = await signedIn(nodes.b.admin);
    const { page } = opened;
    await saysEventually(page, '#now', /^Nothing is wrong\. Nobody waits; 3 nodes, 1 route, 1 instance\./);
    await saysEventually(page, '#nodes', /a .*b this one .*c /);
    await saysEventually(
      page,
      '#routes',
      /app\.example\.com .*0 active 5 of 5 slots free 1 instance of at most 4 .*newest \d+\.\d+\.\d+ .*0 \/ 5/,
    );
    expect(await page.locator('#charts canvas').count()).toBe(8);
    await saysEventually(page, '#jobs', /done app\.example\.com/);
    expectCalm(opened, nodes.b);
    const loaded = opened.requests.filter((url) => !url.includes('/api/'));
    expect(loaded.length).toBeGreaterThan(10);
    expect(await opened.bytes()).toBeLessThan(150_000);
    await page.close();
  });

  test('shows a crowd while it is served: held clients, busy slots, new instances first', async () => {
    const { page } = await signedIn(nodes.c.admin);
    const answers = crowd(60, (i) => Object.values(nodes)[i % 3]?.url ?? '', { host: APP, path: '/slow?ms=700' });
    await saysEventually(page, '#totals', /held [1-9]/);
    await saysEventually(page, '#routes', /4 instances of at most 4/);
    await saysEventually(page, '#routes', /5 \/ 5/);
    expect((await answers).filter(({ status }) => status !== 200)).toEqual([]);
    const { routes } = await state(nodes.a, TOKEN);
    const newestFirst = routes.find(({ name }) => name === APP)?.instances.toSorted((x, y) => y.seq - x.seq);
    expect(await routeCard(page, APP).locator('td:first-child code').allInnerTexts()).toEqual(newestFirst?.map(({ id }) => id));
    // Nodes write what they count every ten seconds.
    await saysEventually(page, '#charts', /Response time 50 % \d.* 99 % \d.* Time held 50 % \d.* 99 % \d/, 40_000);
    await page.close();
  });

  test('charts have the last hour of the cluster, also on a page that was opened just now, and of each route', async () => {
    const { page } = await signedIn(`${nodes.b.admin}/#route=${APP}`);
    await saysEventually(page, '#place', new RegExp(`route ${APP}`));
    // What was asked for in the tests before this page was opened.
    await saysEventually(page, '#charts', /Requests a second all \d.* Slots busy \d\S* all [1-9]/, 40_000);
    await eventually(
      'the crowd is in the history',
      async () => {
        const headers = { authorization: `Bearer ${TOKEN}` };
        const response = await fetch(`${nodes.b.admin}/api/v1/history?route=${APP}`, { headers });
        const { points } = (await response.json()) as { points: { responses: Record<string, number> }[] };
        return points.reduce((sum, { responses }) => sum + (responses['2xx'] ?? 0), 0) >= 60;
      },
      40_000,
    );
    await page.close();
  });

  let broken = 0;
  test('says first and in words that starts fail, for whom, and why', async () => {
    // Of a route whose starts have failed three times in a row nobody is held: another attempt of this test needs another one.
    const route = `broken${++broken}.example.com`;
    await setRoute(redis.url, route, 'maxInstances=1', 'holdTimeout=60s');
    const { page } = await signedIn(nodes.b.admin);
    const waiting = crowd(7, () => nodes.a.url, { host: route });
    await saysEventually(
      page,
      '#now > :first-child',
      new RegExp(`^${route}: 7 clients held, 1 start failed: exit 125, image not found`.replaceAll('.', '\\.')),
    );
    expect(await page.locator('#now > :first-child').getAttribute('class')).toBe('trouble error');
    expect(await page.title()).toMatch(/^\([1-9]\) pullproxy$/);

    gate.open(route);
    expect((await waiting).map(({ status, headers }) => [status, headers['proxy-status']])).toEqual(
      Array.from({ length: 7 }, () => [503, 'pullproxy; error=destination_unavailable; details=start_failed']),
    );
    await saysEventually(page, '#now', new RegExp(`${route}: \\d+ starts failed: exit 125, image not found`));
    await page.locator('#jobs summary').first().click();
    await saysEventually(page, '#jobs details[open]', /exit 125 after .* pulling the image image not found/);
    await page.click('text=All of them');
    await saysEventually(page, '#jobs', new RegExp(`(trying again|given up) ${route}`));
    expect(new URL(page.url()).pathname).toBe('/jobs');
    await page.close();
  });

  test('updates in place: what is looked at stays the same element, focused and open', async () => {
    const { page } = await signedIn(nodes.a.admin);
    const button = page.locator(`[aria-label="Start one more instance of ${APP}"]`);
    const busyForAWhile = async (): Promise<void> => {
      const answer = ask(nodes.a.url, { host: APP, path: '/slow?ms=3000' });
      await saysEventually(page, '#totals', /busy slots 1 /);
      await saysEventually(page, '#totals', /busy slots 0 /);
      expect((await answer).status).toBe(200);
    };
    // What comes with the first states of the cluster is there.
    await busyForAWhile();
    await button.focus();
    await page.locator('#jobs summary').last().click();
    await button.focus();
    await page.evaluate(
      'for (const one of document.querySelectorAll("#routes *, #nodes *, #jobs *, #totals *")) one.dataset.seen = "before"',
    );
    await busyForAWhile();
    expect(await page.evaluate('document.activeElement.getAttribute("aria-label")')).toBe(`Start one more instance of ${APP}`);
    expect(await page.locator('#jobs details[open]').count()).toBe(1);
    expect(await page.locator('#routes article *:not([data-seen]), #nodes *:not([data-seen])').count()).toBe(0);
    await page.close();
  });
});

describe('changes from the page', () => {
  test('what is read needs the token, too, which is asked for once', async () => {
    const before = (await state(nodes.a, TOKEN)).routes.find(({ name }) => name === APP)?.instances.length ?? 0;
    await setRoute(redis.url, APP, 'maxInstances=9');
    const { page } = await browser.open(nodes.a.admin, { asksToken: true });
    const more = page.locator(`[aria-label="Start one more instance of ${APP}"]`);
    await page.fill('dialog [name=token]', 'a-guess');
    await page.keyboard.press('Enter');
    await saysEventually(page, 'dialog', /That token was refused/);
    await page.fill('dialog [name=token]', TOKEN);
    await page.keyboard.press('Enter');
    await saysEventually(page, '#nodes', /a this one/);
    await more.press('Enter');
    await saysEventually(page, '#toasts', /One more instance of app\.example\.com was asked for/);
    await saysEventually(page, '#routes', new RegExp(`${before + 1} instances of at most 9`), 20_000);
    await more.press('Enter');
    await saysEventually(page, '#routes', new RegExp(`${before + 2} instances of at most 9`), 20_000);
    expect(await page.locator('dialog').count()).toBe(0);
    await page.close();
  });

  test('replace all instances, when that is confirmed', async () => {
    const newest = async () =>
      (await state(nodes.a, TOKEN)).routes.find(({ name }) => name === APP)?.instances.toSorted((x, y) => y.seq - x.seq)[0]?.id ?? '';
    const before = await newest();
    const { page } = await signedIn(nodes.a.admin);
    await page.click(`[aria-label="Replace all instances of ${APP}"]`);
    await saysEventually(page, 'dialog', /Replace all instances of app\.example\.com\?/);
    await page.locator('dialog button.main').press('Enter');
    await saysEventually(page, '#toasts', /The instances of app\.example\.com are being replaced/);
    await eventually('a newer one is there', async () => (await newest()) > '' && (await newest()) !== before, 20_000);
    await page.close();
  });

  test('pause a route when that is confirmed: the page says so, a client is held, and is served after the button to resume', async () => {
    const { page } = await signedIn(nodes.b.admin);
    await page.click(`[aria-label="Pause ${APP}"]`);
    await saysEventually(page, 'dialog', /Pause app\.example\.com\? All its clients are held/);
    await page.locator('dialog button:not(.main)').press('Enter');
    await eventually('it was a question', async () => (await page.locator('dialog').count()) === 0);
    expect((await ask(nodes.a.url, { host: APP })).status).toBe(200);

    await page.click(`[aria-label="Pause ${APP}"]`);
    await page.locator('dialog button.main').press('Enter');
    await saysEventually(page, '#toasts', /app\.example\.com is paused, and nothing is in flight\./, 20_000);
    let isServed = false;
    const held = ask(nodes.a.url, { host: APP }).finally(() => {
      isServed = true;
    });
    await saysEventually(page, '#now', /app\.example\.com: paused by an operator .* 1 client held.* nothing is in flight/, 20_000);
    await saysEventually(page, '#routes', /paused for \d+ s more 1 held/);
    expect(isServed).toBe(false);
    await page.click(`[aria-label="Resume ${APP}"]`);
    await saysEventually(page, '#toasts', /app\.example\.com goes on\./);
    expect((await held).status).toBe(200);
    await saysEventually(page, '#routes', /Pause/);
    expect((await state(nodes.a, TOKEN)).troubles.map(({ code }) => code)).not.toContain('paused');
    await page.close();
  });

  test('of settings reach the cluster, and what is wrong with them is said in the form', async () => {
    const { page } = await signedIn(nodes.b.admin);
    await page.click(`[aria-label="Settings of ${APP}"]`);
    expect(await page.inputValue('dialog [name=maxInstances]')).toBe('9');
    expect(await page.getAttribute('dialog [name=holdTimeout]', 'placeholder')).toBe('30s');
    await page.fill('dialog [name=maxInstances]', 'many');
    await page.fill('dialog [name=holdTimeout]', '10');
    await page.click('text=Save');
    // Each is said at its field, as a screen reader hears it, and the first of them has the focus.
    await saysEventually(page, 'dialog [role=alert]', /^Wrong: (holdTimeout, maxInstances|maxInstances, holdTimeout)\.$/);
    for (const [name, text] of [
      ['holdTimeout', /^holdTimeout "10": expected a duration/],
      ['maxInstances', /^maxInstances "many": expected a whole number/],
    ] as const) {
      const input = page.locator(`dialog [name=${name}]`);
      expect(await input.getAttribute('aria-invalid')).toBe('true');
      const [described = ''] = (await input.getAttribute('aria-describedby'))?.split(' ') ?? [];
      expect(await textOf(page, `#${described}`)).toMatch(text);
    }
    expect(await page.getAttribute('dialog [name=minInstances]', 'aria-invalid')).toBeNull();
    expect(await page.evaluate('document.activeElement.name')).toMatch(/^(holdTimeout|maxInstances)$/);
    await page.fill('dialog [name=maxInstances]', '8');
    await page.fill('dialog [name=holdTimeout]', '');
    await page.selectOption('dialog [name=balance]', 'spread');
    await page.click('text=Save');
    await saysEventually(page, '#toasts', /Settings of app\.example\.com saved/);
    const route = (await (
      await fetch(`${nodes.c.admin}/api/v1/routes/${APP}`, { headers: { authorization: `Bearer ${TOKEN}` } })
    ).json()) as { settings: object };
    expect(route.settings).toEqual({ maxInstances: 8, balance: 'spread' });
    await page.close();
  });

  test('a startup job is tried again, and removed; its row shows that it unfolds', async () => {
    const route = 'put-off.example.com';
    const queue = new Queue('startup', { prefix: '{pp-bull}', connection: { url: redis.url, maxRetriesPerRequest: null } });
    await setRoute(redis.url, route, 'maxInstances=1');
    await queue.add('start', { route, force: 0, startIds: [] }, { delay: 3_600_000, attempts: 5 });
    const { page } = await signedIn(`${nodes.b.admin}/jobs?route=${route}`);
    await saysEventually(page, '#jobs', /^put off put-off\.example\.com/);
    const turned = () => page.evaluate('getComputedStyle(document.querySelector("#jobs .fold"), "::before").transform');
    expect(await turned()).toBe('none');
    await page.locator('#jobs summary').click();
    expect(await turned()).not.toBe('none');
    await page.click(`[aria-label="Try the startup job of ${route} again now"]`);
    await saysEventually(page, '#toasts', /The startup job of put-off\.example\.com is tried again/);
    await saysEventually(page, '#jobs', /^done put-off\.example\.com/);
    // It is still unfolded.
    await page.click(`[aria-label="Remove the startup job of ${route}"]`);
    await page.locator('dialog button.main').press('Enter');
    await saysEventually(page, '#toasts', /The startup job of put-off\.example\.com was removed/);
    await saysEventually(page, '#jobs', /^None\.$/);
    await queue.close();
    await page.close();
  });

  test('add a route and delete it again, by keyboard', async () => {
    const { page } = await signedIn(nodes.b.admin);
    await page.focus('#add-route');
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog');
    await page.keyboard.type('*.new.example.com');
    await page.keyboard.press('Enter');
    await saysEventually(page, '#routes', /\*\.new\.example\.com/);
    // One that is there already keeps its settings.
    await page.focus('#add-route');
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog');
    await page.keyboard.type('*.new.example.com');
    await page.keyboard.press('Enter');
    await saysEventually(page, '#problem-route', /has settings already: change them at the route/);
    await page.keyboard.press('Escape');
    await eventually('closed', async () => (await page.locator('dialog').count()) === 0);
    await page.locator('[aria-label="Settings of *.new.example.com"]').press('Enter');
    await page.waitForSelector('dialog');
    await page.keyboard.press('Escape');
    await eventually('closed', async () => (await page.locator('dialog').count()) === 0);
    await page.click('[aria-label="Settings of *.new.example.com"]');
    await page.click('text=Delete the settings');
    await page.locator('dialog >> text=Delete').last().press('Enter');
    await eventually('gone', async () => !(await textOf(page, '#routes')).includes('*.new.example.com'));
    await page.close();
  });

  test('drain a node at which the page is not, and say that it left', async () => {
    const { page } = await signedIn(nodes.b.admin);
    await page.click('[aria-label="Drain node c"]');
    await saysEventually(page, 'dialog', /Drain node c\?/);
    await page.locator('dialog button.main').press('Enter');
    await saysEventually(page, '#toasts', /Node c was asked to leave/);
    expect(await nodes.c.exit).toEqual({ code: 0, signal: null });
    await saysEventually(page, '#timeline', /c was told to leave/);
    expect(await page.locator('.nodes tbody tr').count()).toBe(2);
    await page.close();
  });
});

describe('for everybody', () => {
  test('fits a phone: no page is wider than the screen, nor is a dialog', async () => {
    for (const path of ['', '/jobs']) {
      const { page } = await signedIn(`${nodes.b.admin}${path}`, { width: 360, height: 740 });
      await eventually('something is there', async () => (await textOf(page, '#jobs')).length > 10);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
      if (path === '') {
        await page.click(`[aria-label="Settings of ${APP}"]`);
        const box = await page.locator('dialog').boundingBox();
        expect((box?.x ?? -1) >= 0 && (box?.x ?? 0) + (box?.width ?? 999) <= 360).toBe(true);
      }
      await page.close();
    }
  });

  test.each([false, true])('is readable (dark: %s): every text has enough contrast', async (dark) => {
    const { page } = await signedIn(nodes.b.admin, { dark });
    await eventually('something is there', async () => (await textOf(page, '#jobs')).length > 10);
    expect(await page.evaluate(LOW_CONTRASTS)).toEqual([]);
    await page.close();
  });

  test('the filter is a key away when there are many routes', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `r${i}.example.net`);
    for (const name of names) await setRoute(redis.url, name);
    const { page } = await signedIn(nodes.b.admin);
    await saysEventually(page, '#routes', /r7\.example\.net/);
    await page.keyboard.press('/');
    await page.keyboard.type('r3.');
    await eventually('one is left', async () => (await page.locator('#routes article').count()) === 1);
    await page.close();
  });
});

describe('when things break', () => {
  test('a node that was killed is missing also for a page that is opened after it, until somebody says that it does not come back', async () => {
    nodes.a.kill('SIGKILL');
    await eventually('noticed', async () => (await state(nodes.b, TOKEN)).nodes.every(({ id }) => id !== 'a'));
    const { page } = await signedIn(nodes.b.admin);
    await saysEventually(page, '#now', /node a is missing since .* ago, with /);
    await saysEventually(page, '#timeline', /b node a stopped beating/);
    await page.click('[aria-label="Forget node a"]');
    await eventually('forgotten', async () => !(await textOf(page, '#now')).includes('node a is missing'));
    await saysEventually(page, '#timeline', /an operator said that node a does not come back/);
    await page.close();
  });

  test('that no scaler is there is said when somebody waits for one', async () => {
    await scaler.stop();
    const { page } = await signedIn(nodes.b.admin);
    const waiting = ask(nodes.b.url, { host: 'r1.example.net' }).catch(() => null);
    await saysEventually(page, '#now', /r1\.example\.net: 1 client held .*there is no scaler to start an instance/);
    await page.close();
    await setRoute(redis.url, 'r1.example.net', 'holdTimeout=1s');
    await waiting;
  });

  test('without Redis the page goes on with what the node knows, and says so', async () => {
    const { page } = await signedIn(nodes.b.admin);
    await redis.kill();
    await saysEventually(page, '#now > :first-child', /^Redis does not answer/);
    await saysEventually(page, '#nodes', /b this one/);
    await page.close();
  });
});

test('a node on its own has a page, too', async () => {
  const lone = await startNode(null, ['--id', 'lone']);
  const opened = await signedIn(lone.admin);
  await saysEventually(opened.page, '#now', /^Nothing is wrong\. Nobody waits; 1 node/);
  await saysEventually(opened.page, '#jobs', /this node has no Redis/);
  expectCalm(opened, lone);
  await lone.stop();
  await saysEventually(opened.page, '#connection', /trying again|no news/);
});
