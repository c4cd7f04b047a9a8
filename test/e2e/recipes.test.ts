/**
 * Every recipe under deploy/recipes is really run (those of systemd in systemd.test.ts): a client comes, the scaler runs the recipe, an instance serves, and when it has
 * left nothing of it is there any more. Kubernetes and Nomad are stand-ins that record what they are asked and run the linker.
 */
import { execFileSync, type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Job } from 'kubernetes-models/batch/v1';
import { Role } from 'kubernetes-models/rbac.authorization.k8s.io/v1/Role';
import { RoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/RoleBinding';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { parse, parseAllDocuments } from 'yaml';
import { ask } from '../support/clients.ts';
import { type ClusterNode, SECRET, setRoute, startNode, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { ownDirectory, type Running, startProcess } from '../support/processes.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RECIPES = join(ROOT, 'deploy/recipes');
const MAIN = join(ROOT, 'src/cli/main.ts');
const DEMO = ['node', join(ROOT, 'deploy/examples/demo-app.mjs')];
const BUILD_TIMEOUT_MS = 600_000;

const hasDocker = spawnSync('docker', ['info']).status === 0;
if (!hasDocker && process.env.CI === 'true') throw new Error('the tests need Docker, which does not answer');

let redis: RedisServer;
let node: ClusterNode;
let route: string;
let folder: string;
let scaler: Running | null = null;

beforeAll(async () => {
  redis = await startRedis();
  node = await startNode(redis.url, ['--id', 'a']);
});
afterAll(async () => {
  await redis?.stop();
});

let routes = 0;
beforeEach(async () => {
  route = `recipe${++routes}.example.com`;
  await setRoute(redis.url, route, 'maxInstances=2', 'holdTimeout=1m');
  folder = ownDirectory();
  symlinkSync(join(ROOT, 'deploy'), join(folder, 'deploy'));
  mkdirSync(join(folder, 'bin'));
  program('pullproxy', `exec "${process.execPath}" "${MAIN}" "$@"`);
  symlinkSync(process.execPath, join(folder, 'bin/node'));
  const settings = { PROXY: node.backend, SECRET, CONCURRENCY: '2', IDLE_TIMEOUT: '1s', OLD_IDLE_TIMEOUT: '1s' };
  writeFileSync(
    envFile(),
    Object.entries(settings)
      .map(([name, value]) => `PULLPROXY_${name}=${value}\n`)
      .join(''),
  );
});
afterEach(async () => {
  await scaler?.stop();
  scaler = null;
  rmSync(folder, { recursive: true });
});

const envFile = (): string => join(folder, 'app.env');

/** A program that the recipe finds in its PATH. */
function program(name: string, script: string): void {
  writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, 'bin', name), 0o755);
}

async function startScaler(
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
  flags: readonly string[] = [],
): Promise<void> {
  const all = { PULLPROXY_ENV: envFile(), ...env };
  const given = Object.keys(all).flatMap((name) => ['--command-env', name]);
  scaler = await startProcess(['scaler', '--redis', redis.url, ...given, ...flags, '--', ...command], {
    env: { ...all, PATH: `${join(folder, 'bin')}:${process.env.PATH}` },
  });
}

/** A stand-in of the same name, which works where the image would. */
function standIn(name: string): void {
  const fake = fileURLToPath(new URL('../support/apps/fake-scheduler.mjs', import.meta.url));
  const script = `process.argv.splice(1, 0, "${name}"); await import("${fake}")`;
  program(name, `cd "${folder}"\nexec "${process.execPath}" --input-type=module --eval '${script}' -- "$@"`);
}

async function instances(): Promise<number> {
  return (await state(node)).routes.find(({ name }) => name === route)?.instances.length ?? 0;
}

/** The whole story of one instance. */
async function expectServedAndGone(): Promise<void> {
  const { status, body } = await ask(node.url, { host: route });
  expect([status, body.includes('Hello from instance')]).toEqual([200, true]);
  expect(await instances()).toBe(1);
  await eventually('it has left', async () => (await instances()) === 0, 30_000);
}

const schedulerEnv = (): Record<string, string> => ({
  SCHEDULER_RECORD: join(folder, 'record'),
  PULLPROXY_MAIN: MAIN,
  FAKE_PROXY: node.backend,
  FAKE_SECRET: SECRET,
  PULLPROXY_IDLE_TIMEOUT: '1s',
});

interface Asked {
  readonly program: string;
  readonly args: readonly string[];
  readonly manifest: string;
}

function record(): Asked[] {
  return readFileSync(join(folder, 'record'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Asked);
}

test('a process of this machine', async () => {
  await startScaler([join(RECIPES, 'process/start.sh'), ...DEMO], { PULLPROXY_LOGS: join(folder, 'logs') });
  await expectServedAndGone();
  const [log = ''] = readdirSync(join(folder, 'logs'));
  expect(log).toMatch(/^[a-z0-9]+\.log$/);
  await eventually('it has ended', () => readFileSync(join(folder, 'logs', log), 'utf8').includes('"msg":"linker stopped"'));
});

(hasDocker ? describe : describe.skip)('a container', () => {
  beforeAll(() => {
    execFileSync('docker', ['build', '--quiet', '--file', 'deploy/Dockerfile', '--tag', 'pullproxy', '.'], { cwd: ROOT, stdio: 'ignore' });
  }, BUILD_TIMEOUT_MS);

  const containers = (): string[] =>
    execFileSync('docker', ['ps', '--all', '--quiet', '--filter', `label=pullproxy.route=${route}`], { encoding: 'utf8' })
      .split('\n')
      .filter(Boolean);

  test('of the project’s own image', async () => {
    const command = [join(RECIPES, 'docker/start.sh'), 'pullproxy', 'node', 'deploy/examples/demo-app.mjs'];
    await startScaler(command, { DOCKER_ARGS: '--network host --label pullproxy.test=recipe' });
    const answered = ask(node.url, { host: route });
    await eventually('it is there', () => containers().length === 1, 60_000);
    expect((await answered).status).toBe(200);
    await eventually('it has left, and the container with it', () => containers().length === 0, 60_000);
    expect(await instances()).toBe(0);
  });

  test('that its scheduler would start again is stopped when it has left', async () => {
    await setRoute(redis.url, route, `stopCommand=${JSON.stringify([join(RECIPES, 'docker/stop.sh')])}`);
    writeFileSync(envFile(), `${readFileSync(envFile(), 'utf8')}PULLPROXY_LINGER=30s\n`);
    const all = { PULLPROXY_ENV: envFile(), DOCKER_ARGS: '--network host --label pullproxy.test=recipe --restart=on-failure:3' };
    const given = Object.keys(all).flatMap((name) => ['--command-env', name]);
    scaler = await startProcess(
      [
        'scaler',
        '--redis',
        redis.url,
        '--allow-route-commands',
        ...given,
        '--',
        join(RECIPES, 'docker/start.sh'),
        'pullproxy',
        'node',
        'deploy/examples/demo-app.mjs',
      ],
      { env: all },
    );
    expect((await ask(node.url, { host: route })).status).toBe(200);
    await eventually('it has left, and was not started again', () => containers().length === 0, 60_000);
    await scaler.logged(({ msg }) => msg === 'stop command finished');
  });

  test('that fails, and that Docker would start again and again, is removed', async () => {
    const args = { DOCKER_ARGS: '--network host --label pullproxy.test=recipe --restart=always' };
    const cancel = ['--cancel-command', JSON.stringify([join(RECIPES, 'docker/stop.sh')])];
    await setRoute(redis.url, route, 'maxInstances=1', 'holdTimeout=1s', 'startTimeout=5s');
    await startScaler([join(RECIPES, 'docker/start.sh'), 'pullproxy', 'node', '--eval', 'process.exit(3)'], args, cancel);
    const answered = ask(node.url, { host: route });
    await eventually('it is there', () => containers().length === 1, 60_000);
    expect((await answered).status).toBe(503);
    await scaler?.logged(({ msg }) => msg === 'cancel command finished', 60_000);
    // Its startup commands end with this: no further start begins.
    await setRoute(redis.url, route, 'maxInstances=0');
    await eventually('nothing is left', () => containers().length === 0, 60_000);
  });

  describe('of a service of Swarm', () => {
    const docker = (...args: string[]): string => execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const isActive = hasDocker && docker('info', '--format', '{{.Swarm.LocalNodeState}}').trim() === 'active';
    const services = (): string[] =>
      docker('service', 'ls', '--quiet', '--filter', `label=pullproxy.route=${route}`).split('\n').filter(Boolean);
    const stop = JSON.stringify([join(RECIPES, 'swarm/stop.sh')]);
    const flags = ['--allow-route-commands', '--cancel-command', stop];
    const start = [join(RECIPES, 'swarm/start.sh'), 'pullproxy'];
    const env = { SWARM_ARGS: '--network host --no-resolve-image --container-label pullproxy.test=recipe' };

    beforeAll(() => {
      if (!isActive) docker('swarm', 'init', '--advertise-addr', '127.0.0.1', '--listen-addr', '127.0.0.1');
    }, 60_000);
    afterAll(() => {
      if (!isActive) docker('swarm', 'leave', '--force');
    }, 60_000);

    test('serves, and is removed when it has left', async () => {
      await setRoute(redis.url, route, `stopCommand=${stop}`, 'maxInstances=1', 'holdTimeout=1m');
      await startScaler([...start, 'node', 'deploy/examples/demo-app.mjs'], env, flags);
      expect((await ask(node.url, { host: route })).status).toBe(200);
      expect(services()).toHaveLength(1);
      await eventually('nothing is left', () => services().length === 0, 60_000);
      expect(await instances()).toBe(0);
    });

    test('that fails is removed, too', async () => {
      await setRoute(redis.url, route, 'maxInstances=1', 'holdTimeout=1s', 'startTimeout=5s');
      await startScaler([...start, 'node', '--eval', 'process.exit(3)'], env, flags);
      const answered = ask(node.url, { host: route });
      await eventually('it is there', () => services().length === 1, 60_000);
      expect((await answered).status).toBe(503);
      await scaler?.logged(({ msg }) => msg === 'cancel command finished', 60_000);
      await setRoute(redis.url, route, 'maxInstances=0');
      await eventually('nothing is left', () => services().length === 0, 60_000);
    });
  });

  test('of another route is not stopped, whoever says its start id', () => {
    const name = 'pullproxy-foreignstart';
    const args = ['--name', name, '--label', 'pullproxy.route=other.example.com', '--entrypoint', 'sleep', 'pullproxy', '60'];
    execFileSync('docker', ['run', '--detach', '--rm', ...args], { stdio: 'ignore' });
    const stop = (of: string): SpawnSyncReturns<string> =>
      spawnSync(join(RECIPES, 'docker/stop.sh'), { env: { ...process.env, ROUTE: of, START_ID: 'foreignstart' }, encoding: 'utf8' });
    try {
      const refused = stop(route);
      expect([refused.status, refused.stderr]).toEqual([
        1,
        `${name} is an instance of other.example.com, not of ${route}: it is not stopped\n`,
      ]);
      execFileSync('docker', ['container', 'inspect', name], { stdio: 'ignore' });
    } finally {
      expect(stop('other.example.com').status).toBe(0);
    }
    // It is gone already.
    expect(stop('other.example.com').status).toBe(0);
  });
});

describe('a Job of Kubernetes', () => {
  test('is valid, names the start and its route, and serves', async () => {
    standIn('kubectl');
    await startScaler([join(RECIPES, 'kubernetes/start.sh'), join(RECIPES, 'kubernetes/instance.yaml')], schedulerEnv());
    await expectServedAndGone();
    const [asked, ...more] = record();
    expect(more).toEqual([]);
    expect(asked?.args).toEqual(['apply', '--filename', '-']);
    const manifest = parse(asked?.manifest ?? '') as ConstructorParameters<typeof Job>[0];
    const job = new Job(manifest);
    job.validate();
    const env = job.spec?.template.spec?.containers[0]?.env ?? [];
    const id = env.find(({ name }) => name === 'PULLPROXY_START_ID')?.value;
    expect(job.metadata).toMatchObject({ name: `pullproxy-${id}`, annotations: { 'pullproxy/route': route } });
    expect(env).toContainEqual({ name: 'PULLPROXY_ROUTE', value: route });
    expect(asked?.manifest).not.toContain('__');
  });

  test('may be begun by its scaler, who may do nothing else', () => {
    const documents = parseAllDocuments(readFileSync(join(RECIPES, 'kubernetes/rbac.yaml'), 'utf8')).map((document) => document.toJS());
    const [account, role, binding] = documents;
    for (const one of [new ServiceAccount(account), new Role(role), new RoleBinding(binding)]) one.validate();
    expect(role.rules).toEqual([{ apiGroups: ['batch'], resources: ['jobs'], verbs: ['get', 'create', 'patch', 'delete'] }]);
    expect([binding.roleRef.name, binding.subjects[0].name]).toEqual([role.metadata.name, account.metadata.name]);
  });
});

test('a job of Nomad', async () => {
  standIn('nomad');
  await startScaler([join(RECIPES, 'nomad/start.sh'), 'pullproxy-app'], schedulerEnv());
  await expectServedAndGone();
  const [asked] = record();
  const id = /start_id=([a-z0-9]+)/.exec(asked?.args.join(' ') ?? '')?.[1] ?? '';
  expect(asked?.args).toEqual(
    `job dispatch -detach -idempotency-token ${id} -meta start_id=${id} -meta route=${route} pullproxy-app`.split(' '),
  );
  const job = readFileSync(join(RECIPES, 'nomad/app.nomad.hcl'), 'utf8');
  expect(job).toMatch(/^ {2}datacenters = \["\w+"\]$/m);
  expect(/meta_required = \[(.*)\]/.exec(job)?.[1]).toBe('"start_id", "route"');
  expect(existsSync(join(ROOT, 'deploy/examples/demo-app.mjs')) && job.includes('deploy/examples/demo-app.mjs')).toBe(true);
});
