/** Access log and traces of commands as processes. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ask } from '../../support/clients.ts';
import { startNode } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { type LogLine, runCommand } from '../../support/processes.ts';
import { SOURCE } from '../../support/program-path.ts';

const PRELOAD = { NODE_OPTIONS: `--import ${new URL('../../support/apps/loaded-modules.mjs', import.meta.url).pathname}` };
const directory = mkdtempSync(join(tmpdir(), 'telemetry-'));

/** What a collector is sent: paths, and bodies as text (protobuf has texts as they are). */
const sent: { readonly path: string; readonly body: string }[] = [];
let collector: Server;

beforeAll(async () => {
  collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.once('end', () => {
      const body = Buffer.concat(chunks);
      const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
      sent.push({ path: request.url ?? '', body: text.toString('latin1') });
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
  }).listen(0, '127.0.0.1');
  await once(collector, 'listening');
});

afterEach(() => {
  sent.length = 0;
});

afterAll(() => {
  collector.close();
  rmSync(directory, { recursive: true });
});

const endpoint = (): string => `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
const isAccess = ({ name }: LogLine): boolean => name === 'access';

describe('the access log', () => {
  test('is off unless it is asked for, and so are traces: nothing of OpenTelemetry is loaded', async () => {
    const node = await startNode(null, [], PRELOAD, SOURCE);
    expect((await ask(node.url, { host: 'nobody.test' })).status).toBe(404);
    expect(await (await fetch(`${node.admin}/metrics`)).text()).not.toContain('\npullproxy_access_log_dropped_total');
    await node.stop();
    expect(node.logs.filter(isAccess)).toEqual([]);
    expect(node.text()).not.toContain('loaded');
  });

  test('is on stdout among the log, complete when the node has left', async () => {
    const node = await startNode(null, ['--id', 'n1', '--access-log', 'stdout']);
    const count = 300;
    await Promise.all(Array.from({ length: count }, (_, i) => ask(node.url, { host: 'nobody.test', path: `/${i}?secret` })));
    await node.logged(isAccess);
    expect(await (await fetch(`${node.admin}/metrics`)).text()).toContain('\npullproxy_access_log_dropped_total 0\n');
    expect(await node.stop()).toEqual({ code: 0, signal: null });
    const lines = node.logs.filter(isAccess);
    expect(new Set(lines.map(({ path }) => path)).size).toBe(count);
    expect(lines[0]).toMatchObject({ node: 'n1', status: 404, end: 'PR', reason: 'unknown_route' });
    expect(node.logs.some(({ msg }) => msg === 'node stopped')).toBe(true);
    expect(node.text()).toBe('');
  });

  test('is appended to a file, of which a sample may be enough', async () => {
    const path = join(directory, 'access.log');
    const node = await startNode(null, ['--access-log', path, '--access-log-sample', '0']);
    await ask(node.url, { host: 'nobody.test' });
    await eventually('what failed is written', () => readFileSync(path, 'utf8').includes('unknown_route'));
    await node.stop();
    expect(readFileSync(path, 'utf8').trim().split('\n')).toHaveLength(1);
    expect(node.logs.filter(isAccess)).toEqual([]);
  });

  test.each([
    [['--access-log', join(directory, 'no', 'where')], '--access-log', 'expected a file that can be written'],
    [['--access-log-sample', '2'], '--access-log-sample "2"', 'expected a number from 0 to 1'],
  ])('%p is refused', async (args, key, expected) => {
    const { code, stderr } = await runCommand([
      'node',
      '--listen',
      'http://127.0.0.1:0',
      '--backend',
      '127.0.0.1:0',
      '--admin',
      '127.0.0.1:0',
      ...args,
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain(key);
    expect(stderr).toContain(expected);
  });
});

describe('traces', () => {
  test.each([
    ['by OpenTelemetry’s own variables', [], () => ({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint(), OTEL_SERVICE_NAME: 'edge' }), 'edge'],
    ['by a flag', ['--tracing'], () => ({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${endpoint()}/v1/traces` }), 'pullproxy'],
  ])('are sent when they are asked for %s', async (_how, args, environment, service) => {
    const node = await startNode(null, ['--id', 'n1', ...args], { ...PRELOAD, ...environment() }, SOURCE);
    await ask(node.url, { host: 'nobody.test', path: '/here' });
    await node.stop();
    expect(sent.map(({ path }) => path)).toEqual(['/v1/traces']);
    for (const text of [service, 'n1', 'GET', '/here', 'unknown_route']) expect(sent[0]?.body).toContain(text);
    expect(node.text()).toContain('/src/tracing/tracing.ts');
    expect(node.text()).toContain('opentelemetry');
  });

  test('that nobody takes keep nobody waiting, and are said', async () => {
    const node = await startNode(null, ['--tracing'], {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
      OTEL_EXPORTER_OTLP_TIMEOUT: '300',
    });
    expect((await ask(node.url, { host: 'nobody.test' })).status).toBe(404);
    expect(await node.stop()).toEqual({ code: 0, signal: null });
    expect(node.logs.some(({ msg }) => msg === 'OpenTelemetry reports an error' || msg === 'the last traces could not be sent')).toBe(true);
  });
});
