/** The recipes for Docker and for a service of Docker Swarm, with a real Docker and the project's own image. */
import { execFileSync, type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freePort } from '../../../src/linker/free-port.ts';
import { ask } from '../../support/clients.ts';
import { eventually } from '../../support/eventually.ts';
import { FAILING, playFailure, playStory, RECIPES, ROOT, recipeStage } from '../../support/recipe-stage.ts';

const BUILD_TIMEOUT_MS = 600_000;
const DEMO = ['node', 'deploy/examples/demo-app.mjs'];
const NETWORK = '--network host';

const hasDocker = spawnSync('docker', ['info']).status === 0;
if (!hasDocker && process.env.CI === 'true') throw new Error('the tests need Docker, which does not answer');

const docker = (...args: string[]): string => execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
const count = (...args: string[]): number =>
  docker(...args)
    .split('\n')
    .filter(Boolean).length;

(hasDocker ? describe : describe.skip)('a container of Docker', () => {
  const stage = recipeStage();
  const start = [join(RECIPES, 'docker/start.sh'), 'pullproxy'];
  const stop = JSON.stringify([join(RECIPES, 'docker/stop.sh')]);
  const containers = (): number => count('ps', '--all', '--quiet', '--filter', `label=pullproxy.route=${stage.route}`);
  const args = (more = ''): Record<string, string> => ({ DOCKER_ARGS: `${NETWORK} --label pullproxy.test=recipe ${more}` });

  beforeAll(() => {
    execFileSync('docker', ['build', '--quiet', '--file', 'deploy/Dockerfile', '--tag', 'pullproxy', '.'], { cwd: ROOT, stdio: 'ignore' });
  }, BUILD_TIMEOUT_MS);

  test('serves, and is gone when it has left', async () => {
    await stage.startScaler([...start, ...DEMO], args());
    await playStory({ scheduler: 'docker', node: stage.node, route: stage.route, left: containers });
  });

  test('that Docker would start again is stopped when it has left', async () => {
    await stage.set(`stopCommand=${stop}`);
    appendFileSync(stage.envFile, 'PULLPROXY_LINGER=30s\n');
    await stage.startScaler([...start, ...DEMO], args('--restart=on-failure:3'), ['--allow-route-commands']);
    expect((await ask(stage.node.url, { host: stage.route })).status).toBe(200);
    await eventually('it has left, and was not started again', () => containers() === 0, 60_000);
    await stage.scaler.logged(({ msg }) => msg === 'stop command finished');
  });

  test.each(Object.entries(FAILING))('that Docker would start again and again is removed when its application %s', async (_, app) => {
    const begin = () => stage.startScaler([...start, ...app], args('--restart=always'), ['--cancel-command', stop]);
    await playFailure(stage, begin, containers);
  });

  test('of another route is not stopped, whoever says its start id', () => {
    const name = 'pullproxy-foreignstart';
    docker(
      'run',
      '--detach',
      '--rm',
      '--name',
      name,
      '--label',
      'pullproxy.route=other.example.com',
      '--entrypoint',
      'sleep',
      'pullproxy',
      '60',
    );
    const stopAs = (of: string): SpawnSyncReturns<string> =>
      spawnSync(join(RECIPES, 'docker/stop.sh'), { env: { ...process.env, ROUTE: of, START_ID: 'foreignstart' }, encoding: 'utf8' });
    try {
      const refused = stopAs(stage.route);
      expect([refused.status, refused.stderr]).toEqual([
        1,
        `${name} is an instance of other.example.com, not of ${stage.route}: it is not stopped\n`,
      ]);
      docker('container', 'inspect', name);
    } finally {
      expect(stopAs('other.example.com').status).toBe(0);
    }
    // It is gone already.
    expect(stopAs('other.example.com').status).toBe(0);
  });
});

(hasDocker ? describe : describe.skip)('a service of Docker Swarm', () => {
  const stage = recipeStage();
  const isActive = hasDocker && docker('info', '--format', '{{.Swarm.LocalNodeState}}').trim() === 'active';
  const services = (): number => count('service', 'ls', '--quiet', '--filter', `label=pullproxy.route=${stage.route}`);
  const stop = JSON.stringify([join(RECIPES, 'swarm/stop.sh')]);
  const flags = ['--allow-route-commands', '--cancel-command', stop];
  const start = [join(RECIPES, 'swarm/start.sh'), 'pullproxy'];
  const env = { SWARM_ARGS: `${NETWORK} --no-resolve-image --container-label pullproxy.test=recipe` };

  beforeAll(() => {
    if (!isActive) docker('swarm', 'init', '--advertise-addr', '127.0.0.1', '--listen-addr', '127.0.0.1');
  }, 60_000);
  afterAll(() => {
    if (!isActive) docker('swarm', 'leave', '--force');
  }, 60_000);

  test('serves, and is removed when it has left', async () => {
    await stage.set(`stopCommand=${stop}`);
    await stage.startScaler([...start, ...DEMO], env, flags);
    await playStory({ scheduler: 'swarm', node: stage.node, route: stage.route, left: services });
  });

  test.each(Object.entries(FAILING))('is removed when its application %s', async (_, app) => {
    await playFailure(stage, () => stage.startScaler([...start, ...app], env, flags), services);
  });

  test('docker-compose.yml is a stack', async () => {
    const ports = await Promise.all(Array.from({ length: 4 }, () => freePort()));
    // At ports that are free here.
    const file = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8').replaceAll(
      /"(127\.0\.0\.1:)?\d+:(\d+)"/g,
      (_, at = '', inside) => `"${at}${ports.pop()}:${inside}"`,
    );
    expect(ports).toEqual([]);
    const isOld = Number(docker('version', '--format', '{{.Client.Version}}').split('.')[0]) < 25;
    const stack = 'pullproxy-test-stack';
    const options = ['--resolve-image', 'never', '--compose-file', '-', stack];
    execFileSync('docker', ['stack', 'deploy', ...options], {
      input: `${isOld ? 'version: "3.8"\n' : ''}${file}`,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    try {
      const names = docker('stack', 'services', '--format', '{{.Name}}', stack).split('\n').filter(Boolean);
      expect(names.map((name) => name.replace(`${stack}_`, '')).sort()).toEqual(['node-1', 'node-2', 'redis', 'routes', 'scaler']);
      const states = (): string => docker('stack', 'ps', '--format', '{{.CurrentState}}', '--filter', `name=${stack}_redis`, stack);
      await eventually('Redis runs', () => /Running/.test(states()), 120_000);
    } finally {
      docker('stack', 'rm', stack);
      await eventually(
        'it is gone',
        () => count('ps', '--all', '--quiet', '--filter', `label=com.docker.stack.namespace=${stack}`) === 0,
        120_000,
      );
    }
  });
});
