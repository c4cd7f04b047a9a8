/** The description of the API is true: what is answered is what is described, all of it. */
import { get } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { AdminServer } from '../../../src/admin/server.ts';
import { ROUTE_KEYS } from '../../../src/config/route-settings.ts';
import { createLog } from '../../../src/log.ts';
import { FakeSource } from '../../support/harness/admin-source.ts';
import { aJob, aNode, anInstance, aRoute, aRun, aState } from '../../support/harness/pictures.ts';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly security?: unknown;
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: unknown }>> };
  readonly responses: Readonly<Record<string, unknown>>;
}

interface Description {
  readonly openapi: string;
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, { readonly properties: Readonly<Record<string, unknown>> }>> };
}

let source: FakeSource;
let server: AdminServer;
let base: string;

beforeEach(async () => {
  source = new FakeSource();
  server = new AdminServer({ listen: { host: '127.0.0.1', port: 0 }, source, log: createLog('test', 'silent'), eventsEveryMs: 20 });
  base = `http://${await server.start()}`;
});
afterEach(() => server.stop());

const described = async () => (await (await fetch(`${base}/api/v1/openapi.json`)).json()) as Description;

describe('the description of the API', () => {
  test('names every call, what it is for, and which need the token', async () => {
    const { openapi, info, paths } = await described();
    expect([openapi, info.version]).toEqual(['3.1.0', '1.2.3']);
    const calls = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId, summary, security }]) => {
        expect(summary).toMatch(/^\S.+/);
        return `${method.toUpperCase()} ${path} ${operationId}${security === undefined ? '' : ' token'}`;
      }),
    );
    expect(calls.toSorted()).toEqual([
      'DELETE /api/v1/jobs/{id} removeJob token',
      'DELETE /api/v1/routes/{name} deleteRoute token',
      'GET /api/v1/events events token',
      'GET /api/v1/history history token',
      'GET /api/v1/jobs jobs token',
      'GET /api/v1/routes/{name} route token',
      'GET /api/v1/state state token',
      'GET /api/v1/timeline timeline token',
      'GET /healthz healthz',
      'GET /metrics metrics',
      'GET /readyz readyz',
      'POST /api/v1/drain drain token',
      'POST /api/v1/jobs/{id}/retry retryJob token',
      'POST /api/v1/nodes/{id}/drain drainNode token',
      'POST /api/v1/nodes/{id}/forget forgetNode token',
      'POST /api/v1/reload reload token',
      'POST /api/v1/routes/{name}/pause pause token',
      'POST /api/v1/routes/{name}/restart restart token',
      'POST /api/v1/routes/{name}/resume resume token',
      'POST /api/v1/routes/{name}/start start token',
      'PUT /api/v1/routes/{name} setRoute token',
    ]);
  });

  test('holds together: whatever it refers to is there', async () => {
    const description = await described();
    const references = [...JSON.stringify(description).matchAll(/"\$ref":"([^"]+)"/g)].map(([, path]) => path ?? '');
    expect(references.length).toBeGreaterThan(20);
    for (const reference of new Set(references)) {
      const [, , , name = ''] = reference.split('/');
      expect([reference, description.components.schemas[name] !== undefined]).toEqual([`#/components/schemas/${name}`, true]);
    }
  });

  test('knows every setting of a route', async () => {
    const { components, paths } = await described();
    expect(Object.keys(components.schemas.RouteSettings?.properties ?? {})).toEqual(Object.keys(ROUTE_KEYS));
    expect(components.schemas.RouteSettings?.properties.maxInstances).toMatchObject({ type: 'integer', default: 10 });
    expect(components.schemas.RouteSettings?.properties.startMode).toMatchObject({ type: 'string', enum: ['each', 'total'] });
    const body = paths['/api/v1/routes/{name}']?.put?.requestBody?.content['application/json']?.schema;
    expect(body).toEqual({ $ref: '#/components/schemas/RouteSettings' });
  });
});

/** A picture in which every list has something and nothing is null that may be something. */
function everything(): void {
  const trouble = { failures: 3, reason: 'exit 1', ageMs: 10, retryInMs: 20 };
  const starts = [{ id: 's1', ageMs: 1, leftMs: 2 }];
  const routes = [
    aRoute({
      held: 3,
      oldestHeldMs: 50,
      starting: 1,
      starts,
      instances: [anInstance({ version: '1.2.3' }), anInstance()],
      settings: { maxHeld: 5 },
      trouble,
    }),
  ];
  source.picture = aState({ nodes: [aNode({ holds: { 0.1: 3 }, coldStarts: { '+Inf': 1 } })], routes });
  const run = aRun({ exitCode: 125, failure: 'it exited with 125', output: 'image not found' });
  const job = aJob({ state: 'failed', endedAt: 1, nextTryAt: 2, failure: 'it exited with 125', runs: [run] });
  source.startupJobs = {
    jobs: [job, aJob({ id: '2' })],
    rate: { perSecond: 12.5, fixed: false, slowed: true, waiting: 3, oldestMs: 1_200 },
    scalers: 2,
  };
}

describe('what is answered', () => {
  test('is all that there is: nothing is left out because the description does not name it', async () => {
    everything();
    const answered = (await (await fetch(`${base}/api/v1/state`)).json()) as object;
    // Events are written without the description.
    const event = await new Promise<string>((resolve, reject) => {
      get(`${base}/api/v1/events`, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
          const found = /data: (.*)\n\n/.exec(text);
          if (found === null) return;
          response.destroy();
          resolve(found[1] ?? '');
        });
      }).on('error', reject);
    });
    const at = expect.any(Number);
    expect({ ...answered, at }).toEqual({ ...(JSON.parse(event) as object), at });
    expect(answered).toMatchObject({
      troubles: [{ code: 'starts_fail', text: 'example.com: 3 clients held, 3 starts failed: exit 125, image not found' }],
      jobs: [
        { id: '1', runs: 1, lastRun: { exitCode: 125 } },
        { id: '2', runs: 0, lastRun: null },
      ],
      routes: [{ starts: [{ id: 's1' }], trouble: { failures: 3 } }],
      waits: { holds: { count: 0, p50Ms: null } },
    });
  });

  test('of startup jobs has every run', async () => {
    everything();
    expect(await (await fetch(`${base}/api/v1/jobs`)).json()).toEqual(source.startupJobs);
    source.startupJobs = null;
    const unknown = await fetch(`${base}/api/v1/jobs`);
    expect(unknown.status).toBe(503);
    expect(await unknown.json()).toMatchObject({ error: { code: 'jobs_unavailable' } });
  });

  test("of a route are its settings and what holds beside them; of one that is not there, that it isn't", async () => {
    everything();
    const route = await fetch(`${base}/api/v1/routes/Example.com`);
    expect(await route.json()).toEqual({ name: 'example.com', settings: { maxHeld: 5 }, defaults: source.routeDefaults });
    expect((await fetch(`${base}/api/v1/routes/other.example.com`)).status).toBe(404);
  });
});

test('any node is told to leave', async () => {
  const drain = (id: string) => fetch(`${base}/api/v1/nodes/${id}/drain`, { method: 'POST' });
  const asked = await drain('b');
  expect([asked.status, await asked.json()]).toEqual([202, { id: 'b' }]);
  expect(source.calls).toEqual([['drain', 'b']]);
  const unknown = await drain('unknown');
  expect([unknown.status, await unknown.json()]).toEqual([404, { error: { code: 'unknown_node', message: 'there is no node unknown' } }]);
  expect((await drain('impossible')).status).toBe(409);
});
