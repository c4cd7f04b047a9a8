/** The chart and the manifests at a real API server: installed, and applied again with another image. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CHART } from '../support/chart.ts';
import { binaries } from './binaries.ts';
import { ControlPlane } from './control-plane.ts';
import { applyShipped } from './shipped.ts';

const deployments = (namespace: string): string => `/apis/apps/v1/namespaces/${namespace}/deployments`;
/** Beside what the manifests make: without a controller of namespaces, none goes away. */
const SECOND = 'second';
const START_TIMEOUT_MS = 300_000;

/** kubectl sends them again, as their lists lack what the server added to them; nothing changes. */
const POLICY = 'networkpolicy.networking.k8s.io/';

const plane = new ControlPlane(binaries(() => undefined));

beforeAll(async () => {
  await plane.start();
  const { body } = await plane.ask('GET', '/version');
  process.stderr.write(`Kubernetes ${body.gitVersion}\n`);
}, START_TIMEOUT_MS);
afterAll(() => plane.stop());

async function images(namespace: string): Promise<Record<string, string>> {
  const all = await plane.list(deployments(namespace));
  return Object.fromEntries(all.map(({ metadata, spec }) => [metadata.name, spec.template.spec.containers[0].image]));
}

test('the manifests apply, and apply again at once with another image', async () => {
  const first = await applyShipped(plane, 'registry.example/pullproxy:1');
  expect([first.code, first.stderr]).toEqual([0, '']);
  expect(first.stdout).toMatch(/deployment\.apps\/pullproxy-node created/);
  const again = await applyShipped(plane, 'registry.example/pullproxy:2');
  expect([again.code, again.stderr]).toEqual([0, '']);
  const changed = again.stdout.split('\n').filter((line) => line !== '' && !line.endsWith(' unchanged') && !line.startsWith(POLICY));
  expect(changed.map((line) => line.split(' ')[0]).sort()).toEqual([
    'configmap/pullproxy-instance',
    'deployment.apps/pullproxy-node',
    'deployment.apps/pullproxy-scaler',
  ]);
  const policies = await plane.list('/apis/networking.k8s.io/v1/networkpolicies');
  expect(policies.map(({ metadata }) => metadata.generation)).toEqual([1, 1, 1, 1, 1]);
  expect(await images('pullproxy')).toMatchObject({
    'pullproxy-node': 'registry.example/pullproxy:2',
    'pullproxy-scaler': 'registry.example/pullproxy:2',
  });
});

test('the chart installs as the README says, keeps its secrets when it is upgraded, and goes', async () => {
  const installed = await plane.helm(...['install', 'pullproxy', CHART, '--namespace', SECOND, '--create-namespace']);
  expect([installed.code, installed.stderr]).toEqual([0, '']);
  const secrets = async (): Promise<unknown[]> =>
    Promise.all(
      [SECOND, `${SECOND}-instances`].map(
        async (namespace) => (await plane.ask('GET', `/api/v1/namespaces/${namespace}/secrets/pullproxy`)).body.data,
      ),
    );
  const before = await secrets();
  expect(before).toMatchObject([{ secret: expect.stringMatching(/.{40}/) }, { secret: expect.stringMatching(/.{40}/) }]);
  const values = ['--set', 'image.tag=2', '--set', 'nodes.autoscaling.enabled=true'];
  const upgraded = await plane.helm('upgrade', 'pullproxy', CHART, '--namespace', SECOND, ...values);
  expect([upgraded.code, upgraded.stderr]).toEqual([0, '']);
  expect(await images(SECOND)).toMatchObject({ 'pullproxy-node': 'pullproxy:2' });
  expect(await secrets()).toEqual(before);
  const scalers = await plane.list(`/apis/autoscaling/v1/namespaces/${SECOND}/horizontalpodautoscalers`);
  expect(scalers.map(({ metadata }) => metadata.name)).toEqual(['pullproxy-node']);
  const gone = await plane.helm('uninstall', 'pullproxy', '--namespace', SECOND);
  expect([gone.code, gone.stderr]).toEqual([0, '']);
  expect(await plane.list(deployments(SECOND))).toEqual([]);
});
