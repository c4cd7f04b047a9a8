/** `status`, `route` and `scaler` as a user runs them, over a real Redis. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { runCommand, startProcess } from '../../support/processes.ts';
import { MAIN } from '../../support/program-path.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

let redis: RedisServer;
let env: Record<string, string>;

beforeAll(async () => {
  redis = await startRedis();
  env = { PULLPROXY_REDIS: redis.url, PULLPROXY_SECRET: 'the-secret' };
});
afterAll(() => redis.stop());

const pullproxy = (...args: string[]) => runCommand(args, { env });

interface State {
  readonly node: string | null;
  readonly redis: { readonly connected: boolean };
  readonly nodes: readonly { readonly id: string }[];
  readonly routes: readonly { readonly name: string; readonly held: number; readonly instances: readonly unknown[] }[];
}

async function state(): Promise<State> {
  return JSON.parse((await pullproxy('status', '--json')).stdout) as State;
}

describe('route', () => {
  test('sets, merges, shows and deletes', async () => {
    expect(await pullproxy('route', 'set', 'App.example.com', 'maxInstances=3')).toMatchObject({
      code: 0,
      stdout: 'app.example.com  maxInstances=3\n',
    });
    expect((await pullproxy('route', 'set', 'app.example.com', 'holdTimeout=60s')).stdout).toBe(
      'app.example.com  holdTimeout=1m  maxInstances=3\n',
    );
    expect((await pullproxy('route', 'set', 'app.example.com', 'holdTimeout=')).stdout).toBe('app.example.com  maxInstances=3\n');
    expect((await pullproxy('route', 'list')).stdout).toBe('app.example.com  maxInstances=3\n');
    expect(JSON.parse((await pullproxy('route', 'list', '--json')).stdout)).toEqual({ 'app.example.com': { maxInstances: 3 } });
    expect(JSON.parse((await pullproxy('route', 'get', 'app.example.com', '--json')).stdout)).toMatchObject({
      maxInstances: 3,
      minInstances: 0,
    });
    expect(await pullproxy('route', 'delete', 'app.example.com', '--json')).toMatchObject({ code: 2, stdout: '' });
    const got = await pullproxy('route', 'get', 'app.example.com');
    expect(got.stdout.split('\n')).toEqual(expect.arrayContaining(['holdTimeout=30s', 'maxInstances=3', 'startMode=each']));
    expect((await pullproxy('route', 'delete', 'app.example.com')).code).toBe(0);
    expect(await pullproxy('route', 'get', 'app.example.com')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^pullproxy route: app\.example\.com has no settings\n {2}"pullproxy route list" shows/),
    });
  });

  test('refuses what is bad, and stores nothing of it', async () => {
    const { code, stderr } = await pullproxy('route', 'set', 'bad.example.com', 'maxInstances=3', 'maxheld=1', 'holdTimeout=30');
    expect(code).toBe(2);
    expect(stderr).toContain('  maxheld "1": expected one of the keys');
    expect(stderr).toContain('  holdTimeout "30": expected a duration');
    expect((await pullproxy('route', 'get', 'bad.example.com')).code).toBe(1);
  });
});

describe('a cluster', () => {
  test('is shown by status; the scaler starts what its clients wait for', async () => {
    const node = await startProcess(
      ['node', '--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--id', 'n1'],
      { env },
    );
    const own = [process.execPath, MAIN];
    const app = new URL('../../../deploy/examples/demo-app.mjs', import.meta.url).pathname;
    // Into the background, as a scheduler would: the startup command itself ends.
    const start = `PULLPROXY_SECRET=the-secret "$@" linker --proxy ${node.ready.backend} --route "$ROUTE" -- "$1" ${app} >/dev/null 2>&1 &`;
    const scaler = await startProcess(['scaler', '--admin', '127.0.0.1:0', '--', 'sh', '-c', start, 'sh', ...own], { env });
    expect(scaler.ready.admin).toEqual(expect.stringMatching(/^127\.0\.0\.1:\d+$/));

    await pullproxy('route', 'set', '*', 'maxInstances=1');
    const [listen] = node.ready.listen as string[];
    await eventually('the application answers', async () => (await fetch(`${listen}/work`)).status === 200, 20_000);
    expect(await state()).toMatchObject({
      node: null,
      redis: { connected: true },
      nodes: [{ id: 'n1' }],
      routes: [{ name: '*', held: 0, instances: [{ node: 'n1', state: 'ready', concurrency: 10 }] }],
    });
    const judged = await pullproxy('status', '--json', '--exit-code');
    const severities = (JSON.parse(judged.stdout) as { troubles: { severity: string }[] }).troubles.map(({ severity }) => severity);
    expect(judged.code).toBe(severities.includes('error') ? 3 : severities.includes('warning') ? 4 : 0);
    expect((await pullproxy('status', '--exit-code', '--watch')).code).toBe(2);
    expect((await pullproxy('status')).stdout).toMatch(/\n {2}n1 +127\.0\.0\.1:\d+ /);
    expect(await (await fetch(`http://${scaler.ready.admin}/metrics`)).text()).toContain(
      'pullproxy_startup_commands_total{route="*",result="ok"} 1',
    );
    expect(await (await fetch(`http://${scaler.ready.admin}/api/v1/state`)).json()).toMatchObject({ node: null, nodes: [{ id: 'n1' }] });
    expect(await scaler.stop()).toEqual({ code: 0, signal: null });
    expect(await node.stop()).toEqual({ code: 0, signal: null });
    expect((await state()).nodes).toEqual([]);
  });
});
