/** The commands that scale a Deployment, against an API that keeps one Deployment and its Pods, and refuses changes of older versions. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { LINKER } from '../../../src/config/commands/linker.ts';
import { loadCommand } from '../../../src/config/load.ts';
import { type Certificate, makeCertificate } from '../../support/certificate.ts';
import { startLinker, startNode } from '../../support/cluster.ts';
import { faultsOf, type Manifest, readManifests } from '../../support/kubernetes-manifests.ts';
import { ownDirectory } from '../../support/processes.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const SCALE = join(ROOT, 'deploy/kubernetes/scale.mjs');
const NAMESPACE = 'pullproxy-instances';
const [deploymentFile, role] = readManifests(join(ROOT, 'deploy/kubernetes/scale/deployment.yaml')) as [Manifest, Manifest, Manifest];

interface Stored {
  readonly metadata: { readonly name: string; resourceVersion: string; annotations: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: an object of the API.
  readonly [key: string]: any;
}

let certificate: Certificate;
let server: Server;
let port: number;
let deployment: Stored;
let pods: Stored[] = [];
/** Method and resource of each call. */
let asked: string[] = [];
/** Somebody else changes the Deployment before each of the next changes. */
let meddling = 0;

beforeAll(async () => {
  certificate = makeCertificate('kubernetes.default.svc');
  writeFileSync(join(dirname(certificate.certFile), 'token'), 'the-token');
  writeFileSync(join(dirname(certificate.certFile), 'namespace'), NAMESPACE);
  server = api();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  port = (server.address() as AddressInfo).port;
});
beforeEach(() => {
  deployment = { metadata: { name: 'app', resourceVersion: '1', annotations: {} }, spec: { ...deploymentFile.spec, replicas: 0 } };
  pods = [];
  asked = [];
  meddling = 0;
});
afterAll(() => {
  server.close();
  certificate.remove();
});

function api(): Server {
  return createServer({ cert: certificate.cert, key: certificate.key }, async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url = '' } = request;
    const [, , resource = '', name] =
      /^(\/apis\/apps\/v1|\/api\/v1)\/namespaces\/pullproxy-instances\/(\w+)(?:\/([\w-]+))?/.exec(url) ?? [];
    asked.push(`${method} ${resource}`);
    const found = resource === 'deployments' ? [deployment] : pods;
    const one = found.find(({ metadata }) => metadata.name === name);
    if (method === 'PATCH' && resource === 'deployments' && meddling-- > 0) bump(deployment);
    const [status, body] = answer(method, one, name === undefined ? found : null, Buffer.concat(chunks).toString());
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
}

function answer(method: string, one: Stored | undefined, all: readonly Stored[] | null, body: string): [number, object] {
  if (all !== null) return [200, { items: all }];
  if (one === undefined) return [404, { message: 'not found' }];
  if (method === 'GET') return [200, one];
  const { metadata, spec } = JSON.parse(body) as Stored;
  if (metadata.resourceVersion !== one.metadata.resourceVersion) return [409, { message: 'the object has been modified' }];
  Object.assign(one.metadata.annotations, metadata.annotations);
  Object.assign(one.spec, spec);
  bump(one);
  return [200, one];
}

function bump(one: Stored): void {
  one.metadata.resourceVersion = String(Number(one.metadata.resourceVersion) + 1);
}

/** `wasReady`: it was ready and is not any more; else a Pod that is ready, or one that starts. */
function pod(name: string, state: 'ready' | 'starts' | 'has left'): Stored {
  const ready = { type: 'Ready', status: state === 'ready' ? 'True' : 'False', lastTransitionTime: at(state === 'starts' ? 0 : 60) };
  const status = { phase: 'Running', conditions: [ready], containerStatuses: [{ state: { running: { startedAt: at(1) } } }] };
  return { metadata: { name, resourceVersion: '1', annotations: {} }, spec: {}, status };
}

const at = (second: number): string => new Date(1_800_000_000_000 + second * 1000).toISOString();

function scale(action: string, id: string, { name = 'app', patience = '20' } = {}): Promise<{ code: number; stderr: string }> {
  const env = {
    ...{ KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(port), NODE_EXTRA_CA_CERTS: certificate.certFile },
    ...{ API_PATIENCE_S: patience, ROUTE: 'app.example.com', [action === 'down' ? 'INSTANCE' : 'START_ID']: id },
  };
  return new Promise((resolve) => {
    execFile(process.execPath, [SCALE, action, name], { env }, (error, _stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stderr });
    });
  });
}

const WELL = { code: 0, stderr: '' };

describe('scale.mjs', () => {
  test('a start is one replica more, however often its command runs and whoever else changes the Deployment', async () => {
    meddling = 2;
    expect(await scale('up', 's1')).toEqual(WELL);
    expect(deployment.spec.replicas).toBe(1);
    expect(await Promise.all([scale('up', 's2'), scale('up', 's3'), scale('up', 's1')])).toEqual([WELL, WELL, WELL]);
    expect(deployment.spec.replicas).toBe(3);
  });

  test('a start that was given up is taken off once, and one that was never counted not at all', async () => {
    await scale('up', 's1');
    await scale('up', 's2');
    for (const start of ['s1', 's1', 'never']) expect(await scale('cancel', start)).toEqual(WELL);
    expect(deployment.spec.replicas).toBe(1);
  });

  test('what has left is the Pod that goes: not one that serves, nor one that starts', async () => {
    deployment.spec.replicas = 3;
    pods = [pod('starts', 'starts'), pod('serves', 'ready'), pod('left', 'has left')];
    expect(await scale('down', 'i1')).toEqual(WELL);
    expect(pods.map(({ metadata }) => metadata.annotations)).toEqual([
      {},
      {},
      { 'pullproxy/left': 'i1', 'controller.kubernetes.io/pod-deletion-cost': '-1000' },
    ]);
    expect(deployment.spec.replicas).toBe(2);
    expect(await scale('down', 'i1')).toEqual(WELL);
    expect(deployment.spec.replicas).toBe(2);
  });

  test('two that leave at once are two Pods, and the kubelet may take its time to say so', async () => {
    deployment.spec.replicas = 3;
    pods = [pod('a', 'ready'), pod('b', 'ready'), pod('c', 'has left')];
    const both = Promise.all([scale('down', 'i1'), scale('down', 'i2')]);
    const { promise, resolve } = Promise.withResolvers<void>();
    server.on('request', function look() {
      if (pods[2]?.metadata.annotations['pullproxy/left'] === undefined) return;
      server.off('request', look);
      pods[1] = pod('b', 'has left');
      resolve();
    });
    await promise;
    expect(await both).toEqual([WELL, WELL]);
    expect(pods.map(({ metadata }) => metadata.annotations['pullproxy/left'] !== undefined)).toEqual([false, true, true]);
    expect(deployment.spec.replicas).toBe(1);
  });

  test('without a Pod that has left nothing changes, and one line says so', async () => {
    deployment.spec.replicas = 2;
    pods = [pod('a', 'ready'), pod('b', 'starts')];
    expect(await scale('down', 'i1', { patience: '1' })).toEqual({ code: 1, stderr: 'Deployment app: no Pod has left yet\n' });
    expect([deployment.spec.replicas, pods.some(({ metadata }) => Object.keys(metadata.annotations).length > 0)]).toEqual([2, false]);
  });

  test('asks for nothing with another word, name or id, and says which Deployment is missing', async () => {
    expect(await scale('sideways', 's1')).toEqual({ code: 1, stderr: '"sideways": expected up, down or cancel\n' });
    expect(await scale('up', '../x')).toEqual({ code: 1, stderr: 'START_ID "../x": expected lower-case letters and digits\n' });
    expect(await scale('down', '')).toEqual({ code: 1, stderr: 'INSTANCE "": expected lower-case letters and digits\n' });
    expect((await scale('up', 's1', { name: '../../secrets' })).code).toBe(1);
    expect(asked).toEqual([]);
    expect(await scale('up', 's1', { name: 'other' })).toEqual({ code: 1, stderr: 'Deployment other: 404 not found\n' });
  });

  test('remembers the last 200 of each, however many there were', async () => {
    deployment.metadata.annotations['pullproxy/started'] = Array.from({ length: 200 }, (_, index) => `s${index}`).join(' ');
    expect(await scale('up', 'another')).toEqual(WELL);
    const kept = deployment.metadata.annotations['pullproxy/started']?.split(' ') ?? [];
    expect([kept.length, kept[0], kept.at(-1)]).toEqual([200, 's1', 'another']);
  });

  test('does no more than its Role allows', async () => {
    pods = [pod('left', 'has left')];
    for (const [action, id] of [
      ['up', 's1'],
      ['cancel', 's1'],
      ['down', 'i1'],
    ] as const)
      expect(await scale(action, id)).toEqual(WELL);
    const verbs: Record<string, string> = {
      'GET deployments': 'get',
      'PATCH deployments': 'patch',
      'GET pods': 'list',
      'PATCH pods': 'patch',
    };
    const used = new Set(asked.map((call) => `${call.split(' ')[1]} ${verbs[call]}`));
    const rules = role.rules as { resources: string[]; verbs: string[] }[];
    expect([...used].sort()).toEqual(
      rules.flatMap(({ resources, verbs: allowed }) => allowed.map((verb) => `${resources[0]} ${verb}`)).sort(),
    );
  });
});

describe('the Deployment of the recipe', () => {
  test('is as the API expects it, and its linker stays when it has left, without its control socket', async () => {
    for (const manifest of readManifests(join(ROOT, 'deploy/kubernetes/scale/deployment.yaml')))
      expect(await faultsOf(manifest)).toEqual([]);
    const [{ args, readinessProbe }] = deploymentFile.spec.template.spec.containers;
    const proxy = { PULLPROXY_PROXY: 'pullproxy-nodes:9080', PULLPROXY_ROUTE: 'app.example.com' };
    const loaded = await loadCommand(LINKER, args.slice(1), proxy);
    expect([args[0], loaded?.values.lingerMs, loaded?.tail[0]]).toEqual(['linker', 600_000, 'node']);
    expect(readinessProbe.exec.command).toEqual(['test', '-S', loaded?.values.control]);
  });

  test('a linker that has left and stays has no control socket any more: the readiness probe fails', async () => {
    const node = await startNode(null);
    const control = join(ownDirectory(), 'control');
    const args = ['--control', control, '--linger', '10m', '--idle-timeout', '1s'];
    const app = [process.execPath, join(ROOT, 'deploy/examples/demo-app.mjs')];
    const linker = await startLinker({ proxies: [node.backend], route: 'app.example.com', concurrency: 1, app, args });
    expect(existsSync(control)).toBe(true);
    await linker.logged(({ msg }) => msg === 'linker retired: it stays until it is told to end', 60_000);
    expect(existsSync(control)).toBe(false);
    expect(await linker.stop()).toEqual({ code: 0, signal: null });
    await node.stop();
  });
});
