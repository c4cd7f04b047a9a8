/** The recipe for pm2, with a real one that has a home of its own. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DEMO, FAILING, playFailure, playStory, RECIPES, recipeStage } from '../../support/recipe-stage.ts';

const home = mkdtempSync(join(tmpdir(), 'pullproxy-pm2-'));
const isThere = spawnSync('pm2', ['--version'], { env: { ...process.env, PM2_HOME: home } }).status === 0;
if (!isThere && process.env.CI === 'true') throw new Error('the tests need pm2: npm install --global pm2');

(isThere ? describe : describe.skip)('a process of pm2', () => {
  const stage = recipeStage();
  const pm2 = (...args: string[]): string => execFileSync('pm2', args, { encoding: 'utf8', env: { ...process.env, PM2_HOME: home } });
  const processes = (): readonly { readonly name: string; readonly pm2_env: { readonly namespace: string } }[] =>
    JSON.parse(pm2('jlist').trim().split('\n').at(-1) ?? '').filter(
      (one: { pm2_env: { namespace: string } }) => one.pm2_env.namespace === stage.route,
    );
  const left = (): number => processes().length;
  const stop = JSON.stringify([join(RECIPES, 'pm2/stop.sh')]);
  const flags = ['--allow-route-commands', '--cancel-command', stop];
  const env = (): Record<string, string> => ({ PM2_HOME: home, PULLPROXY_LOGS: join(stage.folder, 'logs') });
  const start = async (...app: readonly string[]): Promise<void> => {
    await stage.set(`stopCommand=${stop}`);
    await stage.startScaler([join(RECIPES, 'pm2/start.sh'), stage.configFile, ...app], env(), flags);
  };

  beforeAll(() => {
    pm2('ping');
  });
  afterAll(() => {
    pm2('kill');
    rmSync(home, { recursive: true, force: true });
  });

  test('serves, and pm2 forgets it when it has left', async () => {
    await start(...DEMO);
    await playStory({ scheduler: 'pm2', node: stage.node, route: stage.route, left });
    // One log for all of them, and none in pm2's own home.
    expect(readdirSync(join(stage.folder, 'logs'))).toEqual([`${stage.route}.log`]);
    expect([...readdirSync(join(home, 'logs')), ...readdirSync(join(home, 'pids'))]).toEqual([]);
  });

  test.each(Object.entries(FAILING))('is forgotten when its application %s', async (_, app) => {
    await playFailure(stage, () => start(...app), left);
  });

  test('of another route is not stopped, whoever says its start id', () => {
    pm2('start', '/bin/sleep', '--interpreter', 'none', '--name', 'pullproxy-foreign', '--namespace', stage.route, '--', '60');
    const stopAs = (route: string) =>
      spawnSync(join(RECIPES, 'pm2/stop.sh'), { env: { ...process.env, ...env(), ROUTE: route, START_ID: 'foreign' } }).status;
    expect([stopAs('other.example.com'), left()]).toEqual([1, 1]);
    expect([stopAs(stage.route), left()]).toEqual([0, 0]);
    // It is gone already.
    expect(stopAs(stage.route)).toBe(0);
  });
});
