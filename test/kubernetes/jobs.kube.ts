/**
 * Instances as Jobs at a real API server, by a scaler with the arguments, the template and the rights of the shipped manifests. A played machine runs
 * what is in the Jobs: nothing else here is a Pod.
 */
import { writeFileSync } from 'node:fs';
import type { ClientRequest } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { ask } from '../support/clients.ts';
import { type ClusterNode, SECRET, setRoute, startNode, state } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { ownDirectory, type Running, startProcess } from '../support/processes.ts';
import { INSTANCES_MAX, playStory } from '../support/recipe-stage.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { binaries } from './binaries.ts';
import { ControlPlane } from './control-plane.ts';
import { PlayedMachine } from './played-machine.ts';
import { applyShipped } from './shipped.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SYSTEM = 'pullproxy';
const INSTANCES = 'pullproxy-instances';
const JOBS = `/apis/batch/v1/namespaces/${INSTANCES}/jobs`;
const QUOTA = `/api/v1/namespaces/${INSTANCES}/resourcequotas`;
const FLOW = '/apis/flowcontrol.apiserver.k8s.io/v1beta1';
const PATIENCE_MS = 180_000;
const TURNED_AWAY = 75;

jest.setTimeout(600_000);

const plane = new ControlPlane(binaries(() => undefined));
let redis: RedisServer;
let node: ClusterNode;
let token: string;
let podEnv: Readonly<Record<string, string>>;
let template: string;
let shippedArgs: readonly string[];
let scaler: Running | null = null;
let machine: PlayedMachine;
let route = '';
let routes = 0;

beforeAll(async () => {
  await plane.start();
  const applied = await applyShipped(plane, 'pullproxy');
  expect([applied.code, applied.stderr]).toEqual([0, '']);
  redis = await startRedis();
  node = await startNode(redis.url, ['--id', 'a']);
  ({ token, env: podEnv } = await plane.podOf('pullproxy-scaler', SYSTEM));
  template = join(ownDirectory(), 'instance.yaml');
  const { body: map } = await plane.ask('GET', `/api/v1/namespaces/${SYSTEM}/configmaps/pullproxy-instance`);
  writeFileSync(template, map.data['instance.yaml']);
  const { body: shipped } = await plane.ask('GET', `/apis/apps/v1/namespaces/${SYSTEM}/deployments/pullproxy-scaler`);
  shippedArgs = shipped.spec.template.spec.containers[0].args;
});
afterAll(async () => {
  await redis?.stop();
  await plane.stop();
});
beforeEach(async () => {
  route = `kube${++routes}.example.com`;
  await setRoute(redis.url, route, `maxInstances=${INSTANCES_MAX}`, 'holdTimeout=5m', 'startTimeout=3m');
  const idle = { PULLPROXY_IDLE_TIMEOUT: '2s', PULLPROXY_OLD_IDLE_TIMEOUT: '2s' };
  machine = new PlayedMachine(plane, INSTANCES, { PULLPROXY_PROXY: node.backend, PULLPROXY_SECRET: SECRET, ...idle });
  machine.start();
});
afterEach(async () => {
  await setRoute(redis.url, route, 'maxInstances=0');
  await scaler?.stop();
  scaler = null;
  await machine.stop();
  for (const { metadata } of await machine.jobs()) await plane.ask('DELETE', `${JOBS}/${metadata.name}?propagationPolicy=Background`);
});

/** With the shipped arguments, but for those that `leaveOut` begins. */
async function startScaler(leaveOut?: string): Promise<void> {
  const here = (word: string): string =>
    word
      .replaceAll('/etc/pullproxy/instance.yaml', template)
      .replaceAll(/deploy\/kubernetes\/\w+-job\.mjs/g, (script) => join(ROOT, script))
      .replace('0.0.0.0:9090', '127.0.0.1:0');
  const args = shippedArgs.filter((word) => leaveOut === undefined || !word.startsWith(leaveOut)).map(here);
  const own = { POD_NAMESPACE: INSTANCES, PULLPROXY_REDIS: redis.url, PULLPROXY_ADMIN_TOKEN: 'a-token-for-the-tests' };
  scaler = await startProcess(args, { env: { ...podEnv, ...own } });
}

const asked = (): Promise<{ readonly status: number }> => ask(node.url, { host: route });
const shown = async () => (await state(node)).routes.find(({ name }) => name === route);
const isReady = ({ state: said }: { readonly state: string }): boolean => said === 'ready';
const ready = async (): Promise<number> => (await shown())?.instances.filter(isReady).length ?? 0;

test('the rights of the shipped role are what the commands need, and no more', async () => {
  const may = async (method: string, path: string, object?: object) => (await plane.ask(method, path, object, token)).status;
  const job = (name: string): object => ({
    ...{ apiVersion: 'batch/v1', kind: 'Job', metadata: { name } },
    spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'app', image: 'pullproxy' }] } } },
  });
  machine.canPull = false;
  expect(await may('POST', JOBS, job('by-hand'))).toBe(201);
  expect(await may('DELETE', `${JOBS}/by-hand?propagationPolicy=Background`)).toBe(200);
  const refused: [string, string, object?][] = [
    ['GET', JOBS],
    ['POST', JOBS.replace(INSTANCES, SYSTEM), job('elsewhere')],
    ['GET', `/api/v1/namespaces/${INSTANCES}/secrets/pullproxy`],
    ['GET', `/api/v1/namespaces/${SYSTEM}/secrets/pullproxy`],
    ['GET', `/api/v1/namespaces/${INSTANCES}/pods`],
    ['PATCH', `/apis/apps/v1/namespaces/${SYSTEM}/deployments/pullproxy-node`, { spec: { replicas: 0 } }],
    ['GET', '/api/v1/nodes'],
  ];
  for (const [method, path, object] of refused) expect([method, path, await may(method, path, object)]).toEqual([method, path, 403]);
});

test('instances start from nothing, serve a crowd, and leave nothing', async () => {
  await startScaler();
  const left = async (): Promise<number> => (await machine.jobs()).length;
  await playStory({ scheduler: 'Kubernetes', node, route, left });
});

test('a quota refuses Jobs: clients are told why, and are served when there is room', async () => {
  await startScaler();
  const hard = { 'count/jobs.batch': '0' };
  const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'few' }, spec: { hard } };
  expect((await plane.ask('POST', QUOTA, quota)).status).toBe(201);
  // As the controller of quotas says it.
  const holds = async (): Promise<boolean> =>
    (await plane.ask('PATCH', `${QUOTA}/few/status`, { status: { hard, used: { 'count/jobs.batch': '0' } } })).status === 200;
  await eventually('the quota holds', holds, PATIENCE_MS);
  try {
    const waiting = asked();
    await eventually('its start is refused', async () => /exceeded quota: few/.test((await shown())?.trouble?.reason ?? ''), PATIENCE_MS);
    expect(await machine.jobs()).toEqual([]);
    expect((await plane.ask('DELETE', `${QUOTA}/few`)).status).toBe(200);
    expect((await waiting).status).toBe(200);
  } finally {
    await plane.ask('DELETE', `${QUOTA}/few`);
  }
});

test('an API server that has too much to do (429) is asked again, and the client waits', async () => {
  await startScaler();
  const level = {
    metadata: { name: 'narrow' },
    spec: { type: 'Limited', limited: { assuredConcurrencyShares: 1, limitResponse: { type: 'Reject' } } },
  };
  const subject = { kind: 'ServiceAccount', serviceAccount: { namespace: SYSTEM, name: 'pullproxy-scaler' } };
  const resourceRules = [{ verbs: ['*'], apiGroups: ['batch'], resources: ['jobs'], namespaces: ['*'] }];
  const rules = [{ subjects: [subject], resourceRules }];
  const schema = { metadata: { name: 'narrow' }, spec: { priorityLevelConfiguration: { name: 'narrow' }, matchingPrecedence: 50, rules } };
  const slow: SlowRequest[] = [];
  try {
    expect(
      (await plane.ask('POST', `${FLOW}/prioritylevelconfigurations`, { ...api('PriorityLevelConfiguration'), ...level })).status,
    ).toBe(201);
    expect((await plane.ask('POST', `${FLOW}/flowschemas`, { ...api('FlowSchema'), ...schema })).status).toBe(201);
    // Requests whose bodies never end take all that there is for this account.
    await eventually(
      'it refuses',
      async () => {
        slow.push(new SlowRequest());
        return slow.some((one) => one.status === 429);
      },
      PATIENCE_MS,
    );
    const before = await rejected();
    const waiting = asked();
    await eventually('it refuses the start', async () => (await rejected()) > before, PATIENCE_MS);
    expect(await machine.jobs()).toEqual([]);
    for (const one of slow) one.end();
    expect((await waiting).status).toBe(200);
  } finally {
    for (const one of slow) one.end();
    await plane.ask('DELETE', `${FLOW}/flowschemas/narrow`);
    await plane.ask('DELETE', `${FLOW}/prioritylevelconfigurations/narrow`);
  }
});

function api(kind: string): object {
  return { apiVersion: FLOW.replace('/apis/', ''), kind };
}

/** Of the scaler's account. */
async function rejected(): Promise<number> {
  const { body } = await plane.ask('GET', '/metrics');
  const samples = String(body).matchAll(
    /^apiserver_flowcontrol_rejected_requests_total\{[^}]*priority(?:L|_l)evel="narrow"[^}]*\} (\d+)/gm,
  );
  return [...samples].reduce((sum, [, count]) => sum + Number(count), 0);
}

class SlowRequest {
  status = 0;
  readonly #sent: ClientRequest;

  constructor() {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': 1_000 };
    const at = { host: '127.0.0.1', port: plane.port, path: JOBS, method: 'POST', ca: plane.certificate.cert, agent: false };
    this.#sent = request({ ...at, headers }, (response) => {
      this.status = response.statusCode ?? 0;
      response.resume();
    });
    this.#sent.on('error', () => undefined);
    this.#sent.write('{');
  }

  end(): void {
    this.#sent.destroy();
  }
}

describe('an image that can not be pulled', () => {
  const limits = ['maxInstances=2', 'startTimeout=3s', 'holdTimeout=20s'];
  /** Clients come all the time, whatever they are told. */
  async function whileAsked(work: () => Promise<void>): Promise<void> {
    let isOver = false;
    const clients = Array.from({ length: 6 }, async () => {
      while (!isOver) await asked();
    });
    await work().finally(() => {
      isOver = true;
    });
    await Promise.all(clients);
  }

  test('leaves no Jobs behind, so that none runs late when it is repaired', async () => {
    await startScaler();
    await setRoute(redis.url, route, ...limits);
    machine.canPull = false;
    const seen = new Set<string>();
    await whileAsked(async () => {
      await eventually(
        'starts are given up',
        async () => {
          for (const { metadata } of await machine.jobs()) seen.add(metadata.name);
          return seen.size >= 3;
        },
        PATIENCE_MS,
      );
    });
    await setRoute(redis.url, route, 'maxInstances=0');
    await eventually('nothing is left', async () => (await machine.jobs()).length === 0, PATIENCE_MS);
    machine.canPull = true;
    await setRoute(redis.url, route, ...limits, 'startTimeout=3m', 'holdTimeout=5m');
    await eventually('the next one is tried', async () => (await asked()).status === 200, PATIENCE_MS);
    expect(machine.exitCodes.filter((code) => code === TURNED_AWAY)).toEqual([]);
  });

  test('and no cancel command: what comes late is turned away, and there are never more than maxInstances', async () => {
    await startScaler('--cancel-command');
    await setRoute(redis.url, route, ...limits);
    machine.canPull = false;
    let most = 0;
    await whileAsked(async () => {
      await eventually('starts are given up', async () => (await machine.jobs()).length >= 4, PATIENCE_MS);
      machine.canPull = true;
      await eventually(
        'one is turned away',
        async () => {
          most = Math.max(most, await ready());
          return machine.exitCodes.includes(TURNED_AWAY);
        },
        PATIENCE_MS,
      );
    });
    expect(most).toBeLessThanOrEqual(2);
    await setRoute(redis.url, route, 'maxInstances=0');
    await eventually('all have left', async () => (await machine.jobs()).length === 0, PATIENCE_MS);
  });
});

test('an API server that goes away and comes back costs its clients time, and no answer', async () => {
  await startScaler();
  await plane.away();
  try {
    const waiting = asked();
    await eventually('a start is under way', async () => ((await shown())?.starting ?? 0) > 0, PATIENCE_MS);
    await plane.back();
    expect((await waiting).status).toBe(200);
  } finally {
    if ((await plane.ask('GET', '/readyz')).status !== 200) await plane.back();
  }
});
