/** Deployments as a source of routes, against an API that says anything, or nothing, and with several scalers at the same time. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { MemoryDirectory } from '../../../src/cluster/memory/directory.ts';
import { kubernetesPlaceOf } from '../../../src/config/kubernetes-api.ts';
import { KubernetesStarter } from '../../../src/discovery/kubernetes/kubernetes-starter.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { eventually } from '../../support/eventually.ts';
import { ownDirectory } from '../../support/processes.ts';
import { type LogLine, recordedLog } from '../../support/recorded-log.ts';
import { PlayedKubernetes, type Stored } from './played-kubernetes.ts';

const PATIENCE_MS = 60_000;
const SOURCE = 'kubernetes@web-1a2b3c4d';
const COST = 'controller.kubernetes.io/pod-deletion-cost';
const AWAY = 'the source of routes does not answer: what runs is served, and nothing can be started or stopped';
jest.setTimeout(180_000);

let api: PlayedKubernetes;
let directory: MemoryDirectory;
let folder: string;
const open: KubernetesStarter[] = [];

beforeEach(async () => {
  api = new PlayedKubernetes();
  directory = new MemoryDirectory();
  folder = ownDirectory();
  await api.open();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((starter) => starter.close()));
  await api.close();
});

function follow(): { starter: KubernetesStarter; lines: LogLine[] } {
  const { log, lines } = recordedLog();
  const place = kubernetesPlaceOf({ kubernetesApi: api.url, kubernetesCredentials: folder, discoverNamespace: 'web' }, {});
  const starter = new KubernetesStarter({ place, directory, log, goneMs: 50 });
  open.push(starter);
  starter.begin();
  return { starter, lines };
}

const reasons = (lines: readonly LogLine[], msg: string): string[] =>
  lines.filter((line) => line.msg === msg).map(({ reason }) => String(reason));
const routes = async (): Promise<object> => Object.fromEntries(await directory.routes());
const routesAre = (expected: object): Promise<void> =>
  eventually(
    `the routes are ${JSON.stringify(expected)}`,
    async () => {
      expect(await routes()).toEqual(expected);
      return true;
    },
    PATIENCE_MS,
  );
const has = (starter: KubernetesStarter, route: string): Promise<void> =>
  eventually(`${route} is seen`, () => starter.has(route), PATIENCE_MS);
const one = (name: string): Stored => api.deployments.get(name) as Stored;

describe('routes', () => {
  test('come and change with Deployments, and go with them; an operator sets his own', async () => {
    await directory.setRoute('mine', { maxInstances: 7 });
    api.deploy('a', { 'pullproxy/route': 'a.test', 'pullproxy/maxInstances': '3' });
    api.deploy('mine', { 'pullproxy/route': 'mine', 'pullproxy/maxInstances': '1' });
    api.deploy('bad', { 'pullproxy/route': 'bad.test', 'pullproxy/maxHeld': 'many' });
    api.deploy('stranger', {});
    const { starter, lines } = follow();
    await routesAre({ mine: { maxInstances: 7 }, 'a.test': { maxInstances: 3, source: SOURCE } });
    expect([starter.source, starter.has('mine'), starter.has('bad.test')]).toEqual([SOURCE, true, false]);
    await eventually('the watch is there', () => api.watches === 1, PATIENCE_MS);
    api.deploy('a', { 'pullproxy/route': 'a.test', 'pullproxy/maxInstances': '4' });
    api.deploy('b', { 'pullproxy/route': 'b.test' });
    await routesAre({ mine: { maxInstances: 7 }, 'a.test': { maxInstances: 4, source: SOURCE }, 'b.test': { source: SOURCE } });
    api.remove('a');
    api.remove('mine');
    await routesAre({ mine: { maxInstances: 7 }, 'b.test': { source: SOURCE } });
    const told = reasons(lines, 'what was discovered can not be used as it is');
    expect(told.some((reason) => reason.startsWith('Deployment bad: pullproxy/maxHeld "many": expected'))).toBe(true);
    expect(told.some((reason) => reason.startsWith('an operator has set it'))).toBe(true);
    expect(reasons(lines, AWAY)).toEqual([]);
  });

  test('are read in pages, and a watch goes on from the version that was told last', async () => {
    api.odd = (_, response, url) => {
      if (!url.pathname.endsWith('/deployments') || url.searchParams.has('watch')) return false;
      const page = url.searchParams.get('continue') ?? '1';
      const metadata = { name: `d${page}`, resourceVersion: '1', annotations: { 'pullproxy/route': `r${page}` } };
      const next = page === '3' ? {} : { continue: String(Number(page) + 1) };
      response.end(JSON.stringify({ metadata: { resourceVersion: '41', ...next }, items: [{ metadata, spec: {} }, null, 'x'] }));
      return true;
    };
    const { starter, lines } = follow();
    await has(starter, 'r3');
    expect([starter.has('r1'), starter.has('r2')]).toEqual([true, true]);
    const watched = (from: string): Promise<void> =>
      eventually(`a watch from ${from}`, () => api.watches === 1 && api.asked.at(-1) === `GET deployments from ${from}`, PATIENCE_MS);
    await watched('41');
    api.tell('BOOKMARK', { metadata: { resourceVersion: '55' } });
    api.endWatches();
    await watched('55');
    expect(reasons(lines, AWAY)).toEqual([]);
    // 410: the place is lost, and nothing else.
    api.tell('ERROR', { code: 410, message: 'too old resource version' });
    await watched('41');
    expect(reasons(lines, AWAY)).toEqual([]);
  });

  const said =
    (status: number, body: string, headers: Record<string, string> = {}) =>
    (response: import('node:http').ServerResponse) =>
      void response.writeHead(status, headers).end(body);
  test.each([
    [
      'a right is missing',
      said(403, '{"message":"forbidden: no"}'),
      /may not list deployments in the namespace web \(403\).*forbidden: no/,
    ],
    ['the token is not known', said(401, '{}'), /does not take the token of this scaler \(401\)/],
    ['it has too much to do', said(429, '{"message":"later"}', { 'retry-after': '1' }), /answers 429 to list deployments: later/],
    ['it fails', said(500, 'x'.repeat(100_000)), /more than 65536 bytes/],
    ['it answers with no JSON', said(200, '<html>'), /no object in JSON/],
    ['it answers with no list', said(200, '{"items":{}}'), /no list of Deployments/],
    ['it answers with no version', said(200, '{"items":[]}'), /no version/],
    ['it sends others elsewhere', said(302, '', { location: 'http://127.0.0.1:1/' }), /answers 302/],
  ])('are there as soon as the API says them, after %s', async (_, answer, reason) => {
    api.odd = (request, response, url) => {
      if (request.method !== 'GET' || !url.pathname.endsWith('/deployments')) return false;
      answer(response);
      return true;
    };
    api.deploy('a', { 'pullproxy/route': 'a.test' });
    const { starter, lines } = follow();
    await eventually('it is away', () => reasons(lines, AWAY).length > 0, PATIENCE_MS);
    expect(reasons(lines, AWAY)[0]).toMatch(reason);
    api.odd = () => false;
    await has(starter, 'a.test');
    expect(lines.some(({ msg }) => msg === 'the source of routes answers again')).toBe(true);
  });

  test.each([
    ['garbage', (): void => api.write('garbage\n')],
    ['an event without end', (): void => api.write('x'.repeat(5 * 1_048_576))],
    ['an error', (): void => api.tell('ERROR', { code: 500, message: 'etcd is away' })],
  ])('are listed again after a watch that says %s', async (_, break_) => {
    const { starter, lines } = follow();
    await eventually('the watch is there', () => api.watches === 1, PATIENCE_MS);
    // What nobody needs is dropped.
    for (const object of [null, [], 'x', { metadata: null }, { metadata: { name: 1, resourceVersion: {} } }])
      api.tell('MODIFIED', { object });
    break_();
    await eventually('it is away', () => reasons(lines, AWAY).length === 1, PATIENCE_MS);
    api.deploy('a', { 'pullproxy/route': 'a.test' });
    await has(starter, 'a.test');
  });

  test('are there when an API is back that was away, or that did not say a word', async () => {
    api.deploy('a', { 'pullproxy/route': 'a.test' });
    let silent = 0;
    api.odd = (_, __, url) => url.pathname.endsWith('/deployments') && silent++ === 0;
    const { starter, lines } = follow();
    await has(starter, 'a.test');
    expect(reasons(lines, AWAY)).toEqual(['the API of Kubernetes does not answer in time']);
    await api.close();
    await eventually('it is away', () => reasons(lines, AWAY).length > 1, PATIENCE_MS);
    await api.open();
    api.deploy('b', { 'pullproxy/route': 'b.test' });
    await has(starter, 'b.test');
    expect(starter.has('a.test')).toBe(true);
  });

  test('are asked for by TLS, with the token that is in the file now', async () => {
    await api.close();
    const certificate = makeCertificate('kubernetes.default.svc');
    api = new PlayedKubernetes(certificate);
    await api.open();
    writeFileSync(join(folder, 'ca.crt'), certificate.cert);
    writeFileSync(join(folder, 'token'), 'first\n');
    api.deploy('a', { 'pullproxy/route': 'a.test' });
    const { starter } = follow();
    await has(starter, 'a.test');
    expect([...api.tokens]).toEqual(['Bearer first']);
    writeFileSync(join(folder, 'token'), 'second\n');
    await starter.start('s1', 'a.test');
    expect([...api.tokens]).toEqual(['Bearer first', 'Bearer second']);
    certificate.remove();
  });
});

describe('replicas', () => {
  test('are one more for each start, by two scalers and beside others who change the Deployment', async () => {
    api.deploy('a', { 'pullproxy/route': 'a.test', 'pullproxy/maxInstances': '20' });
    const [{ starter: first }, { starter: second }] = [follow(), follow()];
    await Promise.all([has(first, 'a.test'), has(second, 'a.test')]);
    api.meddling = 3;
    const ids = Array.from({ length: 10 }, (_, at) => `s${at}`);
    await Promise.all(ids.flatMap((id) => [first.start(id, 'a.test'), second.start(id, 'a.test')]));
    expect(one('a').spec.replicas).toBe(10);
    await Promise.all([first.cancel('s3', 'a.test'), second.cancel('s3', 'a.test'), second.cancel('never', 'a.test')]);
    expect(one('a').spec.replicas).toBe(9);
    expect(one('a').metadata.annotations['pullproxy/started']?.split(' ').sort()).toEqual(ids.filter((id) => id !== 's3'));
  });

  test('are never more than the route may have, and a start that fails says why', async () => {
    api.deploy('a', { 'pullproxy/route': 'a.test', 'pullproxy/maxInstances': '2' });
    const { starter } = follow();
    await routesAre({ 'a.test': { maxInstances: 2, source: SOURCE } });
    const started = await Promise.allSettled(['s1', 's2', 's3'].map((id) => starter.start(id, 'a.test')));
    expect(started.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    await expect(starter.start('s4', 'a.test')).rejects.toThrow('Deployment a has as many replicas as its route may have: 2');
    await expect(starter.start('s4', 'unknown')).rejects.toThrow('no Deployment in the namespace web declares unknown');
    // The place of one that has left is free.
    api.pod('p1', 'a', 'has left');
    await starter.start('s5', 'a.test');
    expect(one('a').metadata.annotations['pullproxy/started']).toBe('s1 s2 s5');
    api.odd = (request, response) => {
      if (request.method !== 'PATCH') return false;
      response.writeHead(403).end('{"message":"no"}');
      return true;
    };
    await expect(starter.cancel('s1', 'a.test')).rejects.toThrow(/may not patch deployments in the namespace web \(403\)/);
  });

  test('are changed by an API that says "later" first', async () => {
    api.deploy('a', { 'pullproxy/route': 'a.test' });
    const { starter } = follow();
    await has(starter, 'a.test');
    const answers = [429, 503, 500];
    api.odd = (request, response) => {
      const status = request.method === 'PATCH' ? answers.shift() : undefined;
      if (status === undefined) return false;
      response.writeHead(status, { 'retry-after': '1' }).end('{}');
      return true;
    };
    await starter.start('s1', 'a.test');
    expect([one('a').spec.replicas, answers]).toEqual([1, []]);
  });

  test('are one less for the Pod that has left, which is marked, whoever sees it; one that starts is waited for', async () => {
    api.deploy('a', { 'pullproxy/route': 'a.test' }, 3);
    api.deploy('b', { 'pullproxy/route': 'b.test', 'pullproxy/minInstances': '1' }, 1);
    api.deploy('c', { 'pullproxy/route': 'c.test' }, 2);
    for (const [name, of, state] of [
      ['serves', 'a', 'ready'],
      ['left', 'a', 'has left'],
      ['served-again', 'a', 'ready'],
      ['last', 'b', 'has left'],
      ['c-left', 'c', 'has left'],
      ['c-starts', 'c', 'starts'],
    ] as const)
      api.pod(name, of, state);
    const markedBefore = api.pods.get('served-again') as Stored;
    Object.assign(markedBefore.metadata.annotations, { 'pullproxy/left': 'uid-served-again.0', [COST]: '-1000' });
    follow();
    follow();
    await eventually('one replica less', () => one('a').spec.replicas === 2, PATIENCE_MS);
    const marks = (): object => Object.fromEntries([...api.pods].map(([name, { metadata }]) => [name, metadata.annotations[COST]]));
    await eventually('the one that serves again is not marked', () => markedBefore.metadata.annotations[COST] === undefined, PATIENCE_MS);
    await eventually('the last one was looked at', () => api.pods.get('last')?.metadata.annotations[COST] === '-1000', PATIENCE_MS);
    const looks = api.asked.filter((call) => call === 'GET pods').length;
    api.tell('MODIFIED', one('b'));
    await eventually('all were looked at again', () => api.asked.filter((call) => call === 'GET pods').length >= looks + 6, PATIENCE_MS);
    expect(['a', 'b', 'c'].map((name) => one(name).spec.replicas)).toEqual([2, 1, 2]);
    expect(marks()).toEqual({ left: '-1000', last: '-1000' });
    api.pods.delete('c-starts');
    await eventually('one replica less', () => one('c').spec.replicas === 1, PATIENCE_MS);
  });
});
