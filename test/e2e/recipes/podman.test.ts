/** The recipe for Docker with a real Podman, which has storage of its own here. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { FAILING, playFailure, playStory, RECIPES, ROOT, recipeStage } from '../../support/recipe-stage.ts';

const LOAD_TIMEOUT_MS = 600_000;

const isThere = [
  ['podman', '--version'],
  ['docker', 'info'],
].every(([program = '', word = '']) => spawnSync(program, [word]).status === 0);
if (!isThere && process.env.CI === 'true') throw new Error('the tests need Podman, and Docker, which makes the image');

(isThere ? describe : describe.skip)('a container of Podman', () => {
  const stage = recipeStage();
  // Not where TMPDIR says: what is longer than 50 characters Podman refuses when it removes an ended container, and only then.
  const directory = mkdtempSync('/tmp/pullproxy-podman-');
  const [storage, settings] = [join(directory, 'storage.conf'), join(directory, 'containers.conf')];
  const own = { CONTAINERS_STORAGE_CONF: storage, CONTAINERS_CONF: settings };
  const podman = (...args: string[]): string => execFileSync('podman', args, { encoding: 'utf8', env: { ...process.env, ...own } });
  const containers = (): number =>
    podman('ps', '--all', '--quiet', '--filter', `label=pullproxy.route=${stage.route}`).split('\n').filter(Boolean).length;
  const start = [join(RECIPES, 'docker/start.sh'), 'pullproxy'];
  const stop = ['--cancel-command', JSON.stringify([join(RECIPES, 'docker/stop.sh')])];
  const env = (more = ''): Record<string, string> => ({ ...own, DOCKER: 'podman', DOCKER_ARGS: `--network host ${more}` });

  beforeAll(() => {
    const at = (name: string): string => JSON.stringify(join(directory, name));
    writeFileSync(storage, `[storage]\ndriver = "overlay"\ngraphroot = ${at('graph')}\nrunroot = ${at('run')}\n`);
    // Machines that run tests may allow no higher limits, and may have cgroups of both versions, which crun does not take.
    writeFileSync(settings, '[containers]\ndefault_ulimits = []\n[engine]\nruntime = "runc"\n');
    execFileSync('docker', ['build', '--quiet', '--file', 'deploy/Dockerfile', '--tag', 'pullproxy', '.'], { cwd: ROOT, stdio: 'ignore' });
    execFileSync('sh', ['-c', 'docker save pullproxy | podman load --quiet'], { env: { ...process.env, ...own }, stdio: 'ignore' });
  }, LOAD_TIMEOUT_MS);
  afterAll(() => {
    podman('system', 'reset', '--force');
    rmSync(directory, { recursive: true, force: true });
  }, LOAD_TIMEOUT_MS);

  test('serves, and is gone when it has left', async () => {
    await stage.startScaler([...start, 'node', 'deploy/examples/demo-app.mjs'], env());
    await playStory({ scheduler: 'podman', node: stage.node, route: stage.route, left: containers });
  });

  test.each(Object.entries(FAILING))('that Podman would start again and again is removed when its application %s', async (_, app) => {
    await playFailure(stage, () => stage.startScaler([...start, ...app], env('--restart=always'), stop), containers);
  });

  test('of another route is not stopped, whoever says its start id', () => {
    podman('create', '--name', 'pullproxy-foreign', '--label', 'pullproxy.route=other.example.com', 'pullproxy', 'node');
    const stopAs = (route: string) =>
      spawnSync(join(RECIPES, 'docker/stop.sh'), {
        env: { ...process.env, ...env(), ROUTE: route, START_ID: 'foreign' },
        encoding: 'utf8',
      }).status;
    expect(['a.example.com', 'other.example.com', 'other.example.com'].map(stopAs)).toEqual([1, 0, 0]);
  });
});
