/** The startup command and the cancel command for Kubernetes, against an API that answers, refuses, is away, or is slow. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { OutgoingHttpHeaders } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { freePort } from '../../../src/linker/free-port.ts';
import { type Certificate, makeCertificate } from '../../support/certificate.ts';
import { faultsOf, type Manifest } from '../../support/kubernetes-manifests.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const TEMPLATE = join(ROOT, 'deploy/recipes/kubernetes/instance.yaml');
const template = readFileSync(TEMPLATE, 'utf8');

interface Call {
  readonly method: string;
  readonly url: string;
  readonly authorization: string;
  readonly body: string;
}

interface Answer {
  readonly status: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
}

let certificate: Certificate;
let server: Server;
let port: number;
/** What the API answers, one after the other; the last one for good. */
let answers: Answer[] = [];
let asked: Call[] = [];

beforeAll(async () => {
  certificate = makeCertificate('kubernetes.default.svc');
  writeFileSync(join(dirname(certificate.certFile), 'token'), 'the-token');
  writeFileSync(join(dirname(certificate.certFile), 'namespace'), 'pullproxy\n');
  server = api();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  port = (server.address() as AddressInfo).port;
});
beforeEach(() => {
  answers = [{ status: 201 }];
  asked = [];
});
afterAll(() => {
  server.close();
  certificate.remove();
});

function api(): Server {
  return createServer({ cert: certificate.cert, key: certificate.key }, async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url = '', headers } = request;
    asked.push({ method, url, authorization: headers.authorization ?? '', body: Buffer.concat(chunks).toString() });
    const answer = (answers.length > 1 ? answers.shift() : answers[0]) as Answer;
    response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
    response.end(answer.body ?? '{"kind":"Status","message":"jobs.batch is forbidden: no quota is left"}');
  });
}

interface Ended {
  readonly code: number;
  readonly stderr: string;
}

function run(script: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const all = {
    ...{ START_ID: 'abc123', ROUTE: '*.example.com', NODE_EXTRA_CA_CERTS: certificate.certFile },
    ...{ KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(port), ...env },
  };
  const argv = [join(ROOT, 'deploy/kubernetes', script), TEMPLATE];
  return promisify(execFile)(process.execPath, argv, { env: all, encoding: 'utf8' }).then(
    ({ stderr }) => ({ code: 0, stderr }),
    (error: Ended) => ({ code: error.code, stderr: error.stderr }),
  );
}

const start = (env?: Readonly<Record<string, string>>): Promise<Ended> => run('start-job.mjs', env);

describe('start-job.mjs', () => {
  test('begins a Job of the template with the Pod’s own rights', async () => {
    expect(await start()).toEqual({ code: 0, stderr: '' });
    const [call] = asked;
    expect(call).toMatchObject({ method: 'POST', url: '/apis/batch/v1/namespaces/pullproxy/jobs', authorization: 'Bearer the-token' });
    const job = JSON.parse(call?.body ?? '') as Manifest;
    expect(job).toEqual(
      parse(
        template
          .replaceAll('__START_ID__', 'abc123')
          .replaceAll('__ROUTE__', '*.example.com')
          .replaceAll(/__KEY__|__SLUG__/g, ''),
      ),
    );
    expect(await faultsOf(job)).toEqual([]);
  });

  test('begins it in the namespace that POD_NAMESPACE names', async () => {
    expect(await start({ POD_NAMESPACE: 'instances' })).toEqual({ code: 0, stderr: '' });
    expect(asked[0]?.url).toBe('/apis/batch/v1/namespaces/instances/jobs');
  });

  test.each([
    ['x/;e touch F #', 'abc123'],
    ['a"\n---\nkind: Pod', 'abc123'],
    ['', 'abc123'],
    ['app.example.com', '--privileged'],
    ['app.example.com', 'a\nb'],
    ['__proto__', 'x'.repeat(64)],
  ])('asks for nothing where the route is %j and the start %j', async (ROUTE, START_ID) => {
    expect(await start({ ROUTE, START_ID })).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^(ROUTE|START_ID) ".*": expected [^\n]*\n$/),
    });
    expect(asked).toEqual([]);
  });

  test.each([
    ['KEY', '../etc'],
    ['KEY', 'x'.repeat(129)],
    ['SLUG', 'Capital'],
    ['SLUG', '-a'],
  ])('asks for nothing where %s is %j', async (name, value) => {
    expect(await start({ [name]: value })).toEqual({ code: 1, stderr: expect.stringMatching(/^(KEY|SLUG) ".*": expected [^\n]*\n$/) });
    expect(asked).toEqual([]);
  });

  test('is content when the Job is there already', async () => {
    answers = [{ status: 409 }];
    expect(await start()).toEqual({ code: 0, stderr: '' });
  });

  test('says at once, in one line, why it may not', async () => {
    answers = [{ status: 403 }];
    expect(await start()).toEqual({ code: 1, stderr: 'Job pullproxy-abc123: 403 jobs.batch is forbidden: no quota is left\n' });
    expect(asked.length).toBe(1);
  });

  test.each([429, 500, 503, 504])('asks again after %i', async (status) => {
    answers = [{ status }, { status }, { status: 201 }];
    expect(await start()).toEqual({ code: 0, stderr: '' });
    expect(asked.length).toBe(3);
  });

  test('waits as long as Retry-After says', async () => {
    answers = [{ status: 429, headers: { 'retry-after': '1' } }, { status: 201 }];
    const before = performance.now();
    expect(await start()).toEqual({ code: 0, stderr: '' });
    expect(performance.now() - before).toBeGreaterThan(750);
  });

  test('waits for an API that is away', async () => {
    const late = await freePort();
    const started = start({ KUBERNETES_SERVICE_PORT: String(late) });
    const back = api();
    setTimeout(() => back.listen(late, '127.0.0.1'), 1_500);
    expect(await started).toEqual({ code: 0, stderr: '' });
    back.close();
    expect(asked.length).toBe(1);
  });

  test('gives up an API that stays away, and one that only refuses, in one line', async () => {
    const away = await start({ KUBERNETES_SERVICE_PORT: String(await freePort()), API_PATIENCE_S: '1' });
    expect(away).toEqual({ code: 1, stderr: expect.stringMatching(/^POST https:\S+: no answer in 1 s: .*ECONNREFUSED.*\n$/) });
    answers = [{ status: 503, body: 'overloaded' }];
    expect(await start({ API_PATIENCE_S: '1' })).toEqual({ code: 1, stderr: 'Job pullproxy-abc123: 503 overloaded\n' });
    expect(asked.length).toBeGreaterThan(2);
  });

  test('asks again when a response takes too long', async () => {
    let requests = 0;
    const silent = createServer({ cert: certificate.cert, key: certificate.key }, (_request, response) => {
      if (++requests === 2) response.writeHead(201).end('{}');
    });
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    expect(await start({ KUBERNETES_SERVICE_PORT: String((silent.address() as AddressInfo).port) })).toEqual({ code: 0, stderr: '' });
    expect(requests).toBe(2);
    silent.closeAllConnections();
    silent.close();
  });

  test.each(['KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT', 'NODE_EXTRA_CA_CERTS'])('says that %s is missing', async (name) => {
    expect(await start({ [name]: '' })).toEqual({ code: 1, stderr: `${name} is missing: give the scaler --command-env ${name}\n` });
  });
});

describe('stop-job.mjs', () => {
  const stop = (env?: Readonly<Record<string, string>>): Promise<Ended> => run('stop-job.mjs', env);

  test('deletes the Job of the start, and its Pod', async () => {
    answers = [{ status: 200 }];
    expect(await stop()).toEqual({ code: 0, stderr: '' });
    const url = '/apis/batch/v1/namespaces/pullproxy/jobs/pullproxy-abc123?propagationPolicy=Background';
    expect(asked).toEqual([{ method: 'DELETE', url, authorization: 'Bearer the-token', body: '' }]);
  });

  test('is content when there is none, asks again when the API is overloaded, and says why it may not', async () => {
    answers = [{ status: 429 }, { status: 404 }];
    expect(await stop()).toEqual({ code: 0, stderr: '' });
    answers = [{ status: 403 }];
    expect(await stop()).toEqual({ code: 1, stderr: 'Job pullproxy-abc123: 403 jobs.batch is forbidden: no quota is left\n' });
  });

  test('deletes nothing for what is no start', async () => {
    expect((await stop({ START_ID: '..' })).code).toBe(1);
    expect(asked).toEqual([]);
  });
});
