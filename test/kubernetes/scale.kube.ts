/** scale.mjs at a real API server, with the rights of its own manifest. What ReplicaSets and kubelets do is played: Pods are made here, and told ready. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import type { Manifest } from '../support/kubernetes-manifests.ts';
import { binaries } from './binaries.ts';
import { ControlPlane, type Ran } from './control-plane.ts';
import { applyShipped } from './shipped.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NAMESPACE = 'pullproxy-instances';
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
const APP = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/app`;
const COST = 'controller.kubernetes.io/pod-deletion-cost';

jest.setTimeout(300_000);

const plane = new ControlPlane(binaries(() => undefined));
let podEnv: Readonly<Record<string, string>>;

beforeAll(async () => {
  await plane.start();
  const shipped = await applyShipped(plane, 'pullproxy');
  expect([shipped.code, shipped.stderr]).toEqual([0, '']);
  const applied = await plane.kubectl('apply', '--filename', join(ROOT, 'deploy/kubernetes/scale/deployment.yaml'));
  expect([applied.code, applied.stderr]).toEqual([0, '']);
  await plane.kubectl('create', 'serviceaccount', 'default', '--namespace', NAMESPACE);
  ({ env: podEnv } = await plane.podOf('pullproxy-scaler', 'pullproxy'));
});
afterAll(() => plane.stop());

function scale(action: string, values: Readonly<Record<string, string>>, deployment = 'app'): Promise<Ran> {
  const env = { ...podEnv, POD_NAMESPACE: NAMESPACE, API_PATIENCE_S: '20', ...values };
  return plane.run(process.execPath, [join(ROOT, 'deploy/kubernetes/scale.mjs'), action, deployment], env);
}

const done = { code: 0, stdout: '', stderr: '' };
const replicas = async (): Promise<number> => (await plane.ask('GET', APP)).body.spec.replicas;

/** One that the Deployment would have: its linker has left, or serves. */
async function pod(name: string, ready: 'True' | 'False'): Promise<void> {
  const { body } = await plane.ask('GET', APP);
  const { metadata, spec } = (body as Manifest).spec.template;
  const made = await plane.ask('POST', PODS, { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name }, spec });
  expect([made.status, made.body.message]).toEqual([201, undefined]);
  const startedAt = new Date(Date.now() - 60_000).toISOString();
  const conditions = [{ type: 'Ready', status: ready, lastTransitionTime: new Date().toISOString() }];
  const container = {
    name: 'app',
    image: 'pullproxy',
    imageID: '',
    ready: ready === 'True',
    restartCount: 0,
    state: { running: { startedAt } },
  };
  const status = { phase: 'Running', conditions, containerStatuses: [container] };
  const said = await plane.ask('PATCH', `${PODS}/${name}/status`, { status });
  expect([said.status, said.body.message]).toEqual([200, undefined]);
}

test('scales up by each start once, also where many come at once', async () => {
  const starts = Array.from({ length: 6 }, (_, at) => `start${at}`);
  const all = await Promise.all([...starts, 'start0', 'start1'].map((START_ID) => scale('up', { START_ID })));
  expect(all).toEqual(all.map(() => done));
  expect(await replicas()).toBe(6);
  expect(await scale('up', { START_ID: 'start3' })).toEqual(done);
  expect(await scale('cancel', { START_ID: 'start5' })).toEqual(done);
  expect(await scale('cancel', { START_ID: 'start5' })).toEqual(done);
  expect(await scale('cancel', { START_ID: 'unknown' })).toEqual(done);
  expect(await replicas()).toBe(5);
});

test('marks the Pod whose linker has left, and no other, and takes one replica off', async () => {
  await pod('serves', 'True');
  await pod('has-left', 'False');
  for (let times = 0; times < 2; times++) expect(await scale('down', { INSTANCE: 'instance1' })).toEqual(done);
  expect(await replicas()).toBe(4);
  const marked = (await plane.list(PODS)).map(({ metadata }) => [metadata.name, (metadata.annotations as Record<string, string>)[COST]]);
  expect(marked).toEqual([
    ['has-left', '-1000'],
    ['serves', undefined],
  ]);
});

test('may change that Deployment, and no other', async () => {
  expect(await scale('up', { START_ID: 'start9' }, 'another')).toMatchObject({ code: 1, stderr: expect.stringMatching(/403 .*forbidden/) });
});
