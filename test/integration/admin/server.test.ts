import { once } from 'node:events';
import { get, type IncomingMessage, request } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { LISTENERS_MAX } from '../../../src/admin/event-streams.ts';
import { AdminServer } from '../../../src/admin/server.ts';
import { createLog } from '../../../src/log.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeSource, routeNumbers } from '../../support/harness/admin-source.ts';
import { expectInternalErrors } from '../../support/internal-errors.ts';

const log = createLog('test', 'silent');
const listen = Object.freeze({ host: '127.0.0.1', port: 0 });

let source: FakeSource;
let server: AdminServer;
let base: string;

beforeEach(async () => {
  source = new FakeSource();
  await start();
});

afterEach(() => server.stop());

async function start(token?: string): Promise<void> {
  server = new AdminServer({ listen, source, log, token, eventsEveryMs: 20 });
  base = `http://${await server.start()}`;
}

async function restart(token?: string): Promise<void> {
  await server.stop();
  await start(token);
}

const put = (name: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${base}/api/v1/routes/${name}`, {
    method: 'PUT',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });

/** fetch does not let one choose the Host. */
function statusWithHost(path: string, host: string, method = 'GET'): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(`${base}${path}`, { method, headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
}

describe('health', () => {
  test('healthz answers while the process does', async () => {
    expect((await fetch(`${base}/healthz`)).status).toBe(200);
  });

  test('readyz turns to 503 while draining', async () => {
    expect((await fetch(`${base}/readyz`)).status).toBe(200);
    const drained = await fetch(`${base}/api/v1/drain`, { method: 'POST' });
    expect(drained.status).toBe(202);
    const ready = await fetch(`${base}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({ draining: true, joined: true, redis: { connected: true, refusal: null } });
  });

  test('readyz is 503 until Redis has answered once', async () => {
    source.joined = false;
    source.redisConnected = false;
    const ready = await fetch(`${base}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({ draining: false, joined: false, redis: { connected: false, refusal: null } });
  });

  test('a drain may say for how long it is served on before', async () => {
    expect((await fetch(`${base}/api/v1/drain?delay=2s`, { method: 'POST' })).status).toBe(202);
    expect(source.drainDelayMs).toBe(2_000);
    for (const delay of ['2', '-1s', '999h', '', '2s&delay=3s'])
      expect([delay, (await fetch(`${base}/api/v1/drain?delay=${delay}`, { method: 'POST' })).status]).toEqual([delay, 400]);
    expect((await fetch(`${base}/api/v1/nodes/b/drain?delay=3s`, { method: 'POST' })).status).toBe(202);
    expect(source.calls).toEqual([['drain', 'b', 3_000]]);
  });

  test('readyz stays 200 when Redis is lost, and says so', async () => {
    source.redisConnected = false;
    const ready = await fetch(`${base}/readyz`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toEqual({ draining: false, joined: true, redis: { connected: false, refusal: null } });
  });

  test('readyz says why Redis refuses to write, and stays 200', async () => {
    source.redisRefusal = 'OOM command not allowed';
    const ready = await fetch(`${base}/readyz`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toEqual({ draining: false, joined: true, redis: { connected: true, refusal: 'OOM command not allowed' } });
  });

  test('metrics are Prometheus text', async () => {
    source.numbers = { ...source.numbers, routes: [routeNumbers('a', { held: 3 })] };
    const response = await fetch(`${base}/metrics`);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await response.text()).toContain('pullproxy_held{route="a"} 3');
  });

  test('probes and scrapers come by any name', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics']) expect(await statusWithHost(path, 'node1:9090')).toBe(200);
  });
});

describe('state', () => {
  test('is what the source says', async () => {
    const response = await fetch(`${base}/api/v1/state`);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.json()).toMatchObject({ ...source.picture, version: '1.2.3', startedBy: 'scalers', scalers: 1, troubles: [] });
  });

  test('is 503 while the directory is unavailable', async () => {
    source.failure = Object.assign(new Error('no answer'), { name: 'DirectoryUnavailable' });
    const response = await fetch(`${base}/api/v1/state`);
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({ error: { code: 'redis_unavailable', message: 'no answer' } });
  });

  test('is 500, without what failed, when something else failed', async () => {
    expectInternalErrors({ admin: 1 });
    source.failure = new Error('a secret');
    const response = await fetch(`${base}/api/v1/state`);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('a secret');
  });
});

describe('routes', () => {
  test('are set, in canonical form', async () => {
    const response = await put('App.example.com', { holdTimeout: '60s', maxInstances: '3' });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      name: 'app.example.com',
      settings: { holdTimeout: '1m', maxInstances: 3 },
      defaults: { holdTimeout: '30s' },
    });
    expect(source.calls).toEqual([['set', 'app.example.com', { holdTimeout: '1m', maxInstances: 3 }]]);
  });

  test('may be wildcards', async () => {
    expect((await put('%2A.example.com', {})).status).toBe(200);
    expect((await put('*', {})).status).toBe(200);
    expect(source.calls.map(([, name]) => name)).toEqual(['*.example.com', '*']);
  });

  test('all that is wrong is said at once', async () => {
    const response = await put('a', { maxheld: 1, holdTimeout: 30 });
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect(error.code).toBe('invalid_settings');
    expect(error.message).toMatch(/maxheld 1: expected one of the keys .*; holdTimeout 30: expected a duration/);
    expect(source.calls).toEqual([]);
  });

  test.each([
    ['a list', '[]', 400],
    ['no JSON', '{', 400],
    ['too much', JSON.stringify({ a: 'x'.repeat(70_000) }), 413],
  ])('%s is refused', async (_, body, status) => {
    const response = await fetch(`${base}/api/v1/routes/a`, { method: 'PUT', body, headers: { 'content-type': 'application/json' } });
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ error: { code: 'bad_request', message: expect.any(String) } });
  });

  test('a body that foreign pages can send without asking is refused', async () => {
    const response = await put('a', {}, { 'content-type': 'text/plain' });
    expect(response.status).toBe(415);
  });

  test('a bad name is refused', async () => {
    expect((await put('a%20b', {})).status).toBe(400);
    expect((await fetch(`${base}/api/v1/routes/a%2Fb`, { method: 'DELETE' })).status).toBe(400);
  });

  test('are deleted', async () => {
    expect((await fetch(`${base}/api/v1/routes/a`, { method: 'DELETE' })).status).toBe(204);
    expect(source.calls).toEqual([['delete', 'a']]);
  });

  test('are asked for one more instance, when they are known', async () => {
    expect((await fetch(`${base}/api/v1/routes/a/start`, { method: 'POST' })).status).toBe(202);
    const unknown = await fetch(`${base}/api/v1/routes/unknown/start`, { method: 'POST' });
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toEqual({ error: { code: 'unknown_route', message: 'no route unknown' } });
    expect((await fetch(`${base}/api/v1/routes/impossible/start`, { method: 'POST' })).status).toBe(409);
  });

  test('have all their instances replaced, when there are any', async () => {
    const restart = (name: string): Promise<Response> => fetch(`${base}/api/v1/routes/${name}/restart`, { method: 'POST' });
    const done = await restart('a');
    expect([done.status, await done.json()]).toEqual([202, { name: 'a', replaced: 3 }]);
    const none = await restart('unknown');
    expect([none.status, await none.json()]).toEqual([
      404,
      { error: { code: 'no_instance', message: 'unknown has no instance to replace' } },
    ]);
    expect((await restart('impossible')).status).toBe(409);
    expect(source.calls).toEqual([
      ['restart', 'a'],
      ['restart', 'unknown'],
      ['restart', 'impossible'],
    ]);
  });

  test('an unknown query is refused', async () => {
    expect((await fetch(`${base}/api/v1/drain?now=1`, { method: 'POST' })).status).toBe(400);
    expect(source.draining).toBe(false);
  });
});

describe('authorization', () => {
  test('without the token nothing changes', async () => {
    await restart('the-token');
    const refused = await fetch(`${base}/api/v1/drain`, { method: 'POST' });
    expect(refused.status).toBe(401);
    expect(refused.headers.get('www-authenticate')).toBe('Bearer');
    expect(source.draining).toBe(false);
    const headers = { authorization: 'Bearer the-token' };
    expect((await fetch(`${base}/api/v1/drain`, { method: 'POST', headers })).status).toBe(202);
    expect((await fetch(`${base}/api/v1/state`)).status).toBe(401);
    expect((await fetch(`${base}/api/v1/state`, { headers })).status).toBe(200);
  });

  test('a page of another site changes nothing', async () => {
    const response = await fetch(`${base}/api/v1/drain`, { method: 'POST', headers: { origin: 'https://evil.example' } });
    expect(response.status).toBe(403);
    expect(source.draining).toBe(false);
  });

  test('a name that was bent to this address shows nothing', async () => {
    expect(await statusWithHost('/api/v1/state', 'evil.example')).toBe(403);
    expect(await statusWithHost('/', 'evil.example')).toBe(403);
    expect(await statusWithHost('/api/v1/drain', 'evil.example', 'POST')).toBe(403);
  });
});

describe('the dashboard', () => {
  test('is a page that loads only from here', async () => {
    const page = await fetch(`${base}/`);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self';/);
    const html = await page.text();
    const loaded = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path ?? '');
    expect(loaded).toEqual(expect.arrayContaining(['assets/overview.js', 'assets/dashboard.css', 'assets/icon.svg']));
    for (const path of loaded) expect((await fetch(`${base}/${path}`)).status).toBe(200);
  });

  test('nothing else is there', async () => {
    const response = await fetch(`${base}/dashboard/../server.ts`);
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({ error: { code: 'not_found', message: 'not found' } });
  });
});

describe('events', () => {
  function subscribe(): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      get(`${base}/api/v1/events`, resolve).on('error', reject);
    });
  }

  async function* states(response: IncomingMessage): AsyncGenerator<unknown> {
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) {
      const events = (text + chunk).split('\n\n');
      text = events.pop() ?? '';
      for (const event of events) if (event.startsWith('data: ')) yield JSON.parse(event.slice('data: '.length));
    }
  }

  test('bring the state, and again when it changes', async () => {
    const response = await subscribe();
    expect(response.headers['content-type']).toBe('text/event-stream');
    const reader = states(response);
    expect((await reader.next()).value).toMatchObject(source.picture);
    source.picture = { ...source.picture, node: 'n2' };
    expect((await reader.next()).value).toMatchObject(source.picture);
    response.destroy();
  });

  test('ask for the state only while somebody listens', async () => {
    expect(source.asked).toBe(0);
    const response = await subscribe();
    await states(response).next();
    response.destroy();
    let before = -1;
    await eventually('no more questions', async () => {
      const quiet = source.asked === before;
      before = source.asked;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return quiet;
    });
  });

  test('outlive a directory that does not answer for a while', async () => {
    source.failure = new Error('no answer');
    const response = await subscribe();
    const first = states(response).next();
    await eventually('it was asked', () => source.asked > 1);
    source.failure = null;
    expect((await first).value).toMatchObject(source.picture);
    response.destroy();
  });

  test(`have at most ${LISTENERS_MAX} listeners`, async () => {
    const listeners = await Promise.all(Array.from({ length: LISTENERS_MAX }, subscribe));
    expect(listeners.map(({ statusCode }) => statusCode)).not.toContain(503);
    const refused = await fetch(`${base}/api/v1/events`);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ error: { code: 'too_many_listeners' } });
    listeners[0]?.destroy();
    await eventually('a place is free again', async () => {
      const again = await subscribe();
      again.destroy();
      return again.statusCode === 200;
    });
    for (const listener of listeners) listener.destroy();
  });

  test('end when the server does', async () => {
    const response = await subscribe();
    response.resume();
    const ended = once(response, 'close');
    await server.stop();
    await ended;
  });
});
