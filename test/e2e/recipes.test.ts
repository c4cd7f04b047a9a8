/**
 * Recipes that need no scheduler of this machine: a process, and Kubernetes and Nomad by stand-ins that record what they are asked and run the linker.
 * A client comes, the scaler runs the recipe, an instance serves, and when it has left nothing of it is there any more. The others are in
 * recipes/ and, those of systemd, in systemd.test.ts.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { Job } from 'kubernetes-models/batch/v1';
import { Role } from 'kubernetes-models/rbac.authorization.k8s.io/v1/Role';
import { RoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/RoleBinding';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { parse, parseAllDocuments } from 'yaml';
import { ask } from '../support/clients.ts';
import { SECRET, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { startProcess } from '../support/processes.ts';
import { MAIN } from '../support/program-path.ts';
import { DEMO, INSTANCES_MAX, playStory, RECIPES, ROOT, recipeStage } from '../support/recipe-stage.ts';

const stage = recipeStage();

/** A stand-in of the same name, which works where the image would. */
function standIn(name: string): void {
  const fake = fileURLToPath(new URL('../support/apps/fake-scheduler.mjs', import.meta.url));
  const script = `process.argv.splice(1, 0, "${name}"); await import("${fake}")`;
  stage.program(name, `cd "${stage.folder}"\nexec "${process.execPath}" --input-type=module --eval '${script}' -- "$@"`);
}

/** The whole story of one instance. */
async function expectServedAndGone(): Promise<void> {
  const { status, body } = await ask(stage.node.url, { host: stage.route });
  expect([status, body.includes('Hello from instance')]).toEqual([200, true]);
  expect(await stage.instances()).toBe(1);
  await eventually('it has left', async () => (await stage.instances()) === 0, 30_000);
}

const schedulerEnv = (): Record<string, string> => ({
  SCHEDULER_RECORD: join(stage.folder, 'record'),
  PULLPROXY_MAIN: MAIN,
  FAKE_PROXY: stage.node.backend,
  FAKE_SECRET: SECRET,
  PULLPROXY_IDLE_TIMEOUT: '1s',
});

interface Asked {
  readonly program: string;
  readonly args: readonly string[];
  readonly manifest: string;
}

function record(): Asked[] {
  return readFileSync(join(stage.folder, 'record'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Asked);
}

test('a process of this machine', async () => {
  const logs = join(stage.folder, 'logs');
  const running = (): number => {
    const files = existsSync(logs) ? readdirSync(logs) : [];
    for (const file of files) expect(file).toMatch(/^[a-z0-9]+\.log$/);
    return files.filter((file) => !readFileSync(join(logs, file), 'utf8').includes('"msg":"linker stopped"')).length;
  };
  await stage.startScaler([join(RECIPES, 'process/start.sh'), ...DEMO], { PULLPROXY_LOGS: logs });
  await playStory({ scheduler: 'process', node: stage.node, route: stage.route, left: running });
});

test('an agent of this machine, without a startup command', async () => {
  const scaler = await startProcess(['scaler', '--redis', stage.redis.url, '--agents-only']);
  const settings = ['--config', stage.configFile, '--route', stage.route, '--instances', `0-${INSTANCES_MAX}`];
  const agent = await startProcess(['linker', ...settings, '--', ...DEMO], { env: { PATH: stage.path } });
  await eventually('the node knows the agent', () =>
    stage.node.logs.some(({ msg, agent: id }) => msg === 'agent linked' && id === agent.ready.agent),
  );
  const left = async (): Promise<number> =>
    (await state(stage.node)).routes.find(({ name }) => name === stage.route)?.agents?.running ?? -1;
  await eventually('it is seen', async () => (await left()) === 0);
  await playStory({ scheduler: 'agent', node: stage.node, route: stage.route, left });
  await Promise.all([scaler.stop(), agent.stop()]);
});

describe('a Job of Kubernetes', () => {
  test('is valid, names the start and its route, and serves', async () => {
    standIn('kubectl');
    await stage.startScaler([join(RECIPES, 'kubernetes/start.sh'), join(RECIPES, 'kubernetes/instance.yaml')], schedulerEnv());
    await expectServedAndGone();
    const [asked, ...more] = record();
    expect(more).toEqual([]);
    expect(asked?.args).toEqual(['apply', '--filename', '-']);
    const manifest = parse(asked?.manifest ?? '') as ConstructorParameters<typeof Job>[0];
    const job = new Job(manifest);
    job.validate();
    const env = job.spec?.template.spec?.containers[0]?.env ?? [];
    const id = env.find(({ name }) => name === 'PULLPROXY_START_ID')?.value;
    expect(job.metadata).toMatchObject({ name: `pullproxy-${id}`, annotations: { 'pullproxy/route': stage.route } });
    expect(env).toContainEqual({ name: 'PULLPROXY_ROUTE', value: stage.route });
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
  await stage.startScaler([join(RECIPES, 'nomad/start.sh'), 'pullproxy-app'], schedulerEnv());
  await expectServedAndGone();
  const [asked] = record();
  const id = /start_id=([a-z0-9]+)/.exec(asked?.args.join(' ') ?? '')?.[1] ?? '';
  expect(asked?.args).toEqual(
    `job dispatch -detach -idempotency-token ${id} -meta start_id=${id} -meta route=${stage.route} pullproxy-app`.split(' '),
  );
  const job = readFileSync(join(RECIPES, 'nomad/app.nomad.hcl'), 'utf8');
  expect(job).toMatch(/^ {2}datacenters = \["\w+"\]$/m);
  expect(/meta_required = \[(.*)\]/.exec(job)?.[1]).toBe('"start_id", "route"');
  expect(existsSync(join(ROOT, 'deploy/examples/demo-app.mjs')) && job.includes('deploy/examples/demo-app.mjs')).toBe(true);
});
