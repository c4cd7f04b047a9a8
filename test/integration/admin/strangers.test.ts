/** Every call and every page of the admin port, as other sites' pages and people who mistype meet them. */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { AdminServer } from '../../../src/admin/server.ts';
import { createLog } from '../../../src/log.ts';
import { FakeSource } from '../../support/harness/admin-source.ts';

interface Call {
  readonly method: string;
  readonly path: string;
}

let source: FakeSource;
let server: AdminServer;
let base: string;
/** As the API describes itself, with names filled in. */
let calls: readonly Call[];

beforeEach(async () => {
  source = new FakeSource();
  server = new AdminServer({ listen: { host: '127.0.0.1', port: 0 }, source, log: createLog('test', 'silent') });
  base = `http://${await server.start()}`;
  const { paths } = (await (await fetch(`${base}/api/v1/openapi.json`)).json()) as { paths: Record<string, Record<string, unknown>> };
  calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path: path.replace('{name}', 'a').replace('{id}', 'n2') })),
  );
});
afterEach(() => server.stop());

const changing = (): Call[] => calls.filter(({ method }) => method !== 'GET');

/** Only the head is waited for: events never end. fetch would not send some of these headers. */
function ask({ method, path }: Call, headers: Record<string, string> = {}): Promise<{ status: number; headers: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const body = method === 'PUT' ? '{}' : '';
    const asked = request(
      `${base}${path}`,
      { method, headers: { ...(body && { 'content-type': 'application/json' }), ...headers } },
      (answer) => {
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers });
        answer.destroy();
      },
    );
    asked.on('error', reject).end(body);
  });
}

describe('a page of another site', () => {
  test.each([
    ['Origin', { origin: 'https://evil.example' }],
    ['Origin of a sandbox', { origin: 'null' }],
    ['Origin of another port here', { origin: 'http://127.0.0.1:1' }],
    ['Sec-Fetch-Site: cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['Sec-Fetch-Site: same-site', { 'sec-fetch-site': 'same-site' }],
  ])('known by its %s changes nothing by any call', async (_what, headers) => {
    expect(changing().length).toBeGreaterThan(5);
    for (const call of changing()) expect([call, (await ask(call, headers)).status]).toEqual([call, 403]);
    expect(source.calls).toEqual([]);
    expect(source.draining).toBe(false);
  });
});

test('each of these calls goes through without the marks of another site', async () => {
  for (const call of changing()) expect([call, Math.floor((await ask(call)).status / 100)]).toEqual([call, 2]);
});

test.each([
  ['a proxy of this machine', { via: '1.1 proxy' }],
  ['a proxy that says for whom', { 'x-forwarded-for': '192.0.2.7' }],
])('without a token, no call changes anything that came through %s', async (_what, headers) => {
  for (const call of changing()) expect([call, (await ask(call, headers)).status]).toEqual([call, 403]);
  expect(source.calls).toEqual([]);
});

test('a key that a call does not know is refused by each of them, in the query and in a body', async () => {
  const api = calls.filter(({ path }) => path.startsWith('/api/'));
  expect(api.length).toBeGreaterThan(8);
  for (const { method, path } of api) expect([path, (await ask({ method, path: `${path}?force=1` })).status]).toEqual([path, 400]);
  for (const { method, path } of changing()) {
    const headers = { 'content-type': 'application/json' };
    const { status } = await fetch(`${base}${path}`, { method, headers, body: '{"force":true}' });
    expect([method, path, status]).toEqual([method, path, 400]);
  }
  expect(source.calls).toEqual([]);
  expect(source.draining).toBe(false);
});

test('pages, what they load, answers and errors have headers that bind browsers', async () => {
  const page = await (await fetch(`${base}/`)).text();
  const loaded = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => ({ method: 'GET', path: `/${path}` }));
  const pages = ['/', '/jobs', '/nowhere', '/api/v1/state?unknown=1', '/api/v1/openapi.json'].map((path) => ({ method: 'GET', path }));
  const everything = [...pages, ...loaded, ...calls];
  expect(everything.length).toBeGreaterThan(20);
  const statuses = new Set<number>();
  for (const call of everything) {
    const { status, headers } = await ask(call, call.path === '/jobs' ? { host: '127.0.0.1' } : {});
    statuses.add(status);
    expect([call, headers]).toEqual([
      call,
      expect.objectContaining({
        'cache-control': 'no-store',
        'content-security-policy': expect.stringMatching(
          /^default-src 'none'; .*base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
        ),
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
      }),
    ]);
  }
  expect([...statuses]).toEqual(expect.arrayContaining([200, 202, 204, 400, 404]));
});

test('an empty body is none', async () => {
  const headers = { 'content-type': 'application/json' };
  expect((await fetch(`${base}/api/v1/drain`, { method: 'POST', headers, body: '{}' })).status).toBe(202);
});

/** Times can't be tested where other things run. */
test('the one comparison with the token is that which takes the same time whatever differs', () => {
  const code = readFileSync(new URL('../../../src/admin/authorization.ts', import.meta.url), 'utf8');
  expect(code).toContain('timingSafeEqual(hash(a), hash(b))');
  const compared = code
    .split('\n')
    .filter((line) => /\btoken\b/.test(line) && /[!=]==|sameText/.test(line.replace(/token [!=]== undefined/, '')));
  expect(compared.map((line) => line.trim())).toEqual(['if (given !== undefined && sameText(given, token)) return null;']);
});
