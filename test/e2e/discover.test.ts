/** The home server's one-liner, with a real Docker: containers with labels wake when clients come, and sleep when they are idle. */
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ask, crowd, statuses } from '../support/clients.ts';
import { docker, hasDocker, TestContainers } from '../support/docker.ts';
import { eventually } from '../support/eventually.ts';
import { type LogLine, type Running, startProcess } from '../support/processes.ts';

const PATIENCE_MS = 120_000;
jest.setTimeout(300_000);

(hasDocker ? describe : describe.skip)('pullproxy node --discover docker', () => {
  const containers = new TestContainers();
  let node: Running;
  let url: string;

  beforeAll(async () => {
    const ports = ['--listen', 'http://127.0.0.1:0', '--admin', '127.0.0.1:0'];
    node = await startProcess(['node', '--discover', 'docker', '--docker-label', containers.label, ...ports, '--hold-timeout', '2m']);
    url = (node.ready.listen as string[])[0] as string;
  });
  afterEach(() => containers.remove());
  afterAll(async () => {
    await node?.stop();
    containers.remove();
  });

  const logged = (msg: string, more: (line: LogLine) => boolean = () => true): Promise<LogLine> =>
    node.logged((line) => line.msg === msg && more(line), PATIENCE_MS);
  const discovered = (route: string): Promise<LogLine> => logged('a route was discovered', (line) => line.route === route);
  const SHORT = { port: '8000', idleTimeout: '1s', oldIdleTimeout: '1s', holdTimeout: '2m', startTimeout: '2m' };

  async function create(
    route: string,
    labels: Record<string, string> = {},
    more: Parameters<TestContainers['create']>[1] = {},
  ): Promise<string> {
    const name = containers.create({ ...SHORT, route, ...labels }, more);
    await discovered(route);
    return name;
  }

  const asleep = (name: string): Promise<void> => eventually(`${name} sleeps`, () => containers.state(name) === 'exited', PATIENCE_MS);

  interface State {
    readonly routes: readonly { readonly name: string; readonly settings: { readonly maxInstances?: number } | null }[];
    readonly troubles: readonly { readonly code: string; readonly text: string; readonly route: string | null }[];
  }
  const state = async (): Promise<State> => (await (await fetch(`http://${node.ready.admin}/api/v1/state`)).json()) as State;

  const settings = async (route: string) => (await state()).routes.find(({ name }) => name === route)?.settings;

  test('needs no secret and opens no port for linkers to others', () => {
    expect(node.ready.backend).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(node.logs.filter(({ level }) => Number(level) >= 40)).toEqual([]);
  });

  test('starts a container for its first client, stops it when it is idle, and starts it again', async () => {
    const name = await create('story.test');
    expect(containers.state(name)).toBe('created');
    for (let round = 0; round < 2; round++) {
      const { status, body } = await ask(url, { host: 'story.test' });
      expect([status, docker('inspect', '--format', '{{.Id}}', name).startsWith(body)]).toEqual([200, true]);
      await asleep(name);
    }
    expect((await ask(url, { host: 'unknown.test' })).status).toBe(404);
  });

  test('has as many instances of a route as it has containers, each within its limit, and drains one before it is stopped', async () => {
    const names = [await create('two.test', { concurrency: '1' }), containers.create({ ...SHORT, route: 'two.test', concurrency: '1' })];
    await eventually('both are known', async () => (await settings('two.test'))?.maxInstances === 2, PATIENCE_MS);
    const slow = ask(url, { host: 'two.test', path: '/slow?ms=4000' });
    const answers = await crowd(6, () => url, { host: 'two.test', path: '/slow?ms=500' });
    expect(statuses(answers)).toEqual({ 200: 6 });
    expect(new Set([...answers, await slow].map(({ body }) => body)).size).toBe(2);
    for (const name of names) await asleep(name);
  });

  test('takes a container up that somebody has started by hand, and starts one again that somebody has stopped', async () => {
    const name = await create('hand.test', { idleTimeout: '1h' });
    docker('start', name);
    await logged('instance serves', (line) => line.route === 'hand.test');
    expect((await ask(url, { host: 'hand.test' })).status).toBe(200);
    docker('stop', '--time', '1', name);
    await logged('instance has left', (line) => line.route === 'hand.test');
    expect((await ask(url, { host: 'hand.test' })).status).toBe(200);
    expect(containers.state(name)).toBe('running');
  });

  test('survives a container that crashes while it serves, and one that Docker starts again by itself', async () => {
    const name = await create('crash.test', { idleTimeout: '1h' }, { options: ['--restart', 'always'] });
    expect((await ask(url, { host: 'crash.test' })).status).toBe(200);
    expect((await ask(url, { host: 'crash.test', path: '/crash', method: 'POST', body: 'x' })).status).toBe(502);
    expect((await ask(url, { host: 'crash.test' })).status).toBe(200);
    expect(docker('inspect', '--format', '{{.RestartCount}}', name)).toBe('1');
  });

  test('says why a container never serves, and stops it', async () => {
    const deaf = await create('deaf.test', { startTimeout: '5s', holdTimeout: '10s' }, { app: 'setInterval(() => {}, 1e9)' });
    expect((await ask(url, { host: 'deaf.test' })).status).toBe(503);
    const failed = await logged('a discovered application has failed', (line) => line.route === 'deaf.test');
    expect(failed.reason).toMatch(
      new RegExp(`^the application \\(container ${deaf}\\) has not (accepted a connection at [\\d.]+:8000|been started) in time$`),
    );
  });

  test('names a label that is bad, and serves the others', async () => {
    const bad = containers.create({ route: 'bad.test', port: 'eighty', colour: 'red' });
    const { reason } = await logged('what was discovered can not be used as it is', (line) => String(line.reason).includes(bad));
    expect(reason).toContain(`container ${bad}: pullproxy.port "eighty": expected a whole number from 1 to 65535`);
    expect(reason).toContain('pullproxy.colour "red": expected one of the labels route, port,');
    await create('good.test');
    expect((await ask(url, { host: 'good.test' })).status).toBe(200);
    expect((await ask(url, { host: 'bad.test' })).status).toBe(404);
    expect((await state()).troubles.filter(({ code }) => code === 'discovered_badly').map(({ text }) => text)[0]).toContain(bad);
  });

  test('leaves an operator’s word as it is, and forgets a route some time after its containers are removed', async () => {
    const put = await fetch(`http://${node.ready.admin}/api/v1/routes/mine.test`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ holdTimeout: '110s' }),
    });
    expect(put.ok).toBe(true);
    containers.create({ ...SHORT, route: 'mine.test' });
    await logged('what was discovered can not be used as it is', (line) => line.route === 'mine.test');
    expect((await ask(url, { host: 'mine.test' })).status).toBe(200);
    const name = await create('gone.test');
    docker('rm', '--force', name);
    await logged('a discovered route is gone', (line) => line.route === 'gone.test');
    expect((await ask(url, { host: 'gone.test' })).status).toBe(404);
    expect((await state()).routes.map((route) => route.name)).toContain('mine.test');
  });
});
