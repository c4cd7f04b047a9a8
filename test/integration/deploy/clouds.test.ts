/**
 * Recipes for schedulers that can't be had here, against a server that knows only what their documentation says: what a request has to look like, and how
 * it is answered. They are untried with the real ones, and say so.
 */
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

const RECIPES = fileURLToPath(new URL('../../../deploy/recipes', import.meta.url));
const ROUTE = 'app.example.com';

interface Asked {
  readonly line: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}
type Answer = readonly [status: number, body: unknown];

let server: Server;
let url: string;
let asked: Asked[];
let answer: (line: string) => Answer;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pullproxy-clouds-'));
  asked = [];
  server = createServer(async (request, response) => {
    const line = `${request.method} ${request.url}`;
    const text = await textOf(request);
    asked.push({ line, authorization: request.headers.authorization, body: text === '' ? null : JSON.parse(text) });
    const [status, body] = answer(line);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return text;
}

function program(name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
}

/** Its exit code. */
function run(words: readonly string[], env: Readonly<Record<string, string>>, route = ROUTE): Promise<number> {
  const [command = '', ...args] = words;
  const all = { PATH: `${folder}:${process.env.PATH}`, START_ID: 'abc123', ROUTE: route, ...env };
  return new Promise((resolve) => {
    execFile(command, args, { env: all }, (error) => resolve(error === null ? 0 : Number(error.code)));
  });
}

describe('Marathon', () => {
  const start = (): Promise<number> => run([join(RECIPES, 'marathon/start.sh'), join(RECIPES, 'marathon/app.json')], { MARATHON_URL: url });
  const stop = (route?: string): Promise<number> => run([join(RECIPES, 'marathon/stop.sh')], { MARATHON_URL: url }, route);

  test('an app is created once', async () => {
    for (const [status, code] of [
      [201, 0],
      [409, 0],
      [422, 1],
      [503, 1],
    ] as const) {
      answer = () => [status, {}];
      expect([status, await start()]).toEqual([status, code]);
    }
    expect(asked[0]).toMatchObject({
      line: 'POST /v2/apps',
      body: {
        id: '/pullproxy/abc123',
        instances: 1,
        labels: { 'pullproxy.route': ROUTE },
        env: { PULLPROXY_START_ID: 'abc123', PULLPROXY_ROUTE: ROUTE },
      },
    });
    // Each variable of an app is a text.
    const { env } = (asked.at(0)?.body ?? {}) as { env: Record<string, unknown> };
    expect(Object.values(env).map((value) => typeof value)).toEqual(Object.values(env).map(() => 'string'));
    expect(JSON.stringify(asked[0]?.body)).not.toContain('__');
  });

  test('is deleted, if it is of this route', async () => {
    answer = (line) => [200, line.startsWith('GET') ? { app: { labels: { 'pullproxy.route': ROUTE } } } : { deploymentId: 'x' }];
    expect([await stop(), await stop('other.example.com')]).toEqual([0, 1]);
    expect(asked.map(({ line }) => line)).toEqual([
      'GET /v2/apps/pullproxy/abc123',
      'DELETE /v2/apps/pullproxy/abc123?force=true',
      'GET /v2/apps/pullproxy/abc123',
    ]);
    answer = () => [404, {}];
    expect(await stop()).toBe(0);
    answer = () => [503, {}];
    expect(await stop()).toBe(1);
  });
});

describe('Fly Machines', () => {
  const env = (): Record<string, string> => ({ FLY_API_URL: url, FLY_API_TOKEN: 'token' });
  const machines = (...words: string[]): string[] => [process.execPath, join(RECIPES, 'fly/machines.mjs'), ...words];
  const start = (): Promise<number> => run(machines('start', 'my-app', join(RECIPES, 'fly/machine.json')), env());
  const stop = (route?: string): Promise<number> => run(machines('stop', 'my-app'), env(), route);
  const there = { id: 'd891', name: 'pullproxy-abc123', config: { metadata: { pullproxy_route: ROUTE } } };

  test('a machine is created once', async () => {
    answer = (line) => [200, line.startsWith('GET') ? [] : there];
    expect(await start()).toBe(0);
    expect(asked.map(({ line, authorization }) => [line, authorization])).toEqual([
      ['GET /v1/apps/my-app/machines', 'Bearer token'],
      ['POST /v1/apps/my-app/machines', 'Bearer token'],
    ]);
    const { name, config } = (asked.at(1)?.body ?? {}) as { name: string; config: Record<string, unknown> };
    expect(name).toBe('pullproxy-abc123');
    expect(config).toMatchObject({
      auto_destroy: true,
      restart: { policy: 'no' },
      env: { PULLPROXY_START_ID: 'abc123', PULLPROXY_ROUTE: ROUTE },
    });
    expect(JSON.stringify(config)).not.toContain('__');
    answer = () => [200, [there]];
    expect([await start(), asked.length]).toEqual([0, 3]);
    answer = (line) => (line.startsWith('GET') ? [200, []] : [422, { error: 'no capacity' }]);
    expect(await start()).toBe(1);
  });

  test('is removed, if it is of this route', async () => {
    answer = (line) => [200, line.startsWith('GET') ? [there] : {}];
    expect([await stop('other.example.com'), await stop()]).toEqual([1, 0]);
    expect(asked.at(-1)?.line).toBe('DELETE /v1/apps/my-app/machines/d891?force=true');
    answer = () => [200, []];
    expect(await stop()).toBe(0);
    answer = () => [500, {}];
    expect(await stop()).toBe(1);
  });
});

test('Cloud Run: an execution of a job, with the id of its start', async () => {
  program('gcloud', '[ "$*" = "auth print-access-token" ] && echo token');
  const job = 'projects/p/locations/europe-west1/jobs/pullproxy-app';
  const start = (): Promise<number> => run([join(RECIPES, 'cloud-run/start.sh'), job], { CLOUD_RUN_URL: url });
  answer = () => [200, { name: 'operations/1' }];
  expect(await start()).toBe(0);
  const env = [
    { name: 'PULLPROXY_START_ID', value: 'abc123' },
    { name: 'PULLPROXY_ROUTE', value: ROUTE },
  ];
  const body = { overrides: { taskCount: 1, containerOverrides: [{ env }] } };
  expect(asked).toEqual([{ line: `POST /v2/${job}:run`, authorization: 'Bearer token', body }]);
  answer = () => [403, { error: { status: 'PERMISSION_DENIED' } }];
  expect(await start()).not.toBe(0);
});

test('ECS: a task, which is stopped if it is of this route', async () => {
  const calls = join(folder, 'calls');
  const aws = (failures: string): void =>
    program(
      'aws',
      `printf '%s\\n' "$*" >>"${calls}"\ncase $2 in run-task) printf '%s' "$4" >"${folder}/task"; printf '%s' '${failures}' ;; list-tasks) echo arn:task/1 ;; describe-tasks) echo ${ROUTE} ;; esac`,
    );
  const start = (): Promise<number> => run([join(RECIPES, 'ecs/start.sh'), join(RECIPES, 'ecs/task.json')], {});
  const stop = (route?: string): Promise<number> => run([join(RECIPES, 'ecs/stop.sh')], {}, route);
  aws('');
  expect(await start()).toBe(0);
  const task = JSON.parse(readFileSync(join(folder, 'task'), 'utf8'));
  const environment = [
    { name: 'PULLPROXY_ROUTE', value: ROUTE },
    { name: 'PULLPROXY_START_ID', value: 'abc123' },
  ];
  expect(task).toMatchObject({
    clientToken: 'abc123',
    startedBy: 'pullproxy-abc123',
    group: ROUTE,
    overrides: { containerOverrides: [{ environment }] },
  });
  expect([await stop('other.example.com'), await stop()]).toEqual([1, 0]);
  expect(readFileSync(calls, 'utf8')).toMatch(/ecs stop-task --cluster default --task arn:task\/1 /);
  aws('RESOURCE:MEMORY');
  expect(await start()).toBe(1);
});

test('all of them say that they are untried', () => {
  const heads = ['marathon/start.sh', 'marathon/stop.sh', 'ecs/start.sh', 'ecs/stop.sh', 'cloud-run/start.sh', 'fly/machines.mjs'];
  for (const head of heads) expect(readFileSync(join(RECIPES, head), 'utf8')).toContain('UNTRIED');
});
