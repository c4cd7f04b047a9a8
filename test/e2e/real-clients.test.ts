/** The programs that people use, each through one running cluster: clients at one node, linkers at the other. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ClientDuplexStream, ServerDuplexStream, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { WS_ECHO_APP } from '../support/apps/apps.ts';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { SECRET, setRoute } from '../support/cluster.ts';
import { callOf, closeGrpc, grpcClient, NUMBERS, startGrpc } from '../support/grpc.ts';
import { type Running, startProcess } from '../support/processes.ts';
import { output, startPostgres, startSsh, stopPrograms } from '../support/programs.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

jest.setTimeout(120_000);

const ROUTES = ['postgres', 'redis', 'ssh'] as const;
const env = { PULLPROXY_SECRET: SECRET };
const running: Running[] = [];
let certificate: Certificate;
let redis: RedisServer;
/** Where clients are let in: http, https, then one port for each of ROUTES. */
let ports: number[];
/** The backend port of the other node. */
let backend: string;

const web = createServer((request, response) => {
  if (request.url === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: 1\n\n');
    setTimeout(() => response.end('data: 2\n\n'), 300);
  } else {
    response.end(`${request.httpVersion} ${request.headers.via} ${request.headers['x-forwarded-proto']}`);
  }
});

beforeAll(async () => {
  certificate = makeCertificate('web.test', 'grpc.test');
  redis = await startRedis();
  const tcp = ROUTES.map((route) => `tcp://127.0.0.1:0?route=${route}`);
  const listen = ['http://127.0.0.1:0', 'https://127.0.0.1:0', ...tcp].flatMap((url) => ['--listen', url]);
  const own = ['--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--redis', redis.url];
  const tls = ['--tls-cert', certificate.certFile, '--tls-key', certificate.keyFile];
  const front = await start(['node', ...listen, ...own, ...tls]);
  const back = await start(['node', '--listen', 'http://127.0.0.1:0', ...own]);
  ports = (front.ready.listen as string[]).map((url) => Number(new URL(url).port));
  backend = back.ready.backend as string;
  web.listen(0, '127.0.0.1');
});

afterAll(async () => {
  closeGrpc();
  for (const one of running.reverse()) await one.stop();
  await stopPrograms();
  await redis?.stop();
  web.close();
  certificate?.remove();
});

async function start(args: readonly string[]): Promise<Running> {
  const one = await startProcess(args, { env });
  running.push(one);
  return one;
}

function serve(route: string, port: number, concurrency = 10): Promise<Running> {
  return start(['linker', '--proxy', backend, '--route', route, '--concurrency', String(concurrency), '--app', `127.0.0.1:${port}`]);
}

function portOf(route: (typeof ROUTES)[number]): string {
  return String(ports[2 + ROUTES.indexOf(route)]);
}

describe('PostgreSQL', () => {
  test('psql asks, pgbench runs transactions on several connections, none fails', async () => {
    await serve('postgres', await startPostgres());
    const at = ['-h', '127.0.0.1', '-p', portOf('postgres'), '-U', 'postgres'];
    expect(await output('psql', [...at, '-Atc', 'select 6 * 7'])).toBe('42\n');
    await output('pgbench', [...at, '-i', '-q', 'postgres']);
    const report = await output('pgbench', [...at, '-c', '5', '-t', '40', 'postgres']);
    expect(report).toMatch(/transactions actually processed: 200\/200/);
    expect(report).toMatch(/number of failed transactions: 0 /);
  });
});

test('redis-cli, with many commands on one connection', async () => {
  await serve('redis', Number(new URL(redis.url).port));
  const at = ['-h', '127.0.0.1', '-p', portOf('redis')];
  expect(await output('redis-cli', [...at, 'set', 'through', 'pullproxy'])).toBe('OK\n');
  expect(await output('redis-cli', [...at, 'get', 'through'])).toBe('pullproxy\n');
  const loop = await output('redis-cli', [...at, '-r', '500', 'incr', 'counted']);
  expect(loop.trim().split('\n').at(-1)).toBe('500');
});

test('ssh runs a command, and its output comes whole', async () => {
  const ssh = await startSsh();
  await serve('ssh', ssh.port);
  const lines = await output('ssh', ['-p', portOf('ssh'), ...ssh.args, 'seq 1 20000']);
  expect(lines.split('\n')).toHaveLength(20_001);
});

describe('HTTP', () => {
  const curl = (args: readonly string[], i: 0 | 1 = 0): Promise<string> => {
    const resolve = ['--resolve', `web.test:${ports[i]}:127.0.0.1`, '--cacert', certificate.certFile];
    return output('curl', ['-sS', '--max-time', '20', ...resolve, '-w', ' %{http_version}', ...args]);
  };
  const url = (i: 0 | 1, path = '/'): string => `${i === 0 ? 'http' : 'https'}://web.test:${ports[i]}${path}`;

  beforeAll(async () => {
    await serve('web.test', (web.address() as AddressInfo).port);
  });

  test.each([
    ['HTTP/1.0', ['--http1.0'], 0, '1.1 1.0 pullproxy http 1.1'],
    ['HTTP/1.1', ['--http1.1'], 0, '1.1 1.1 pullproxy http 1.1'],
    ['h2c by prior knowledge', ['--http2-prior-knowledge'], 0, '1.1 2.0 pullproxy http 2'],
    ['h2c by Upgrade, which is passed over', ['--http2'], 0, '1.1 1.1 pullproxy http 1.1'],
    ['HTTP/1.1 by TLS', ['--http1.1'], 1, '1.1 1.1 pullproxy https 1.1'],
    ['HTTP/2 by TLS', ['--http2'], 1, '1.1 2.0 pullproxy https 2'],
  ] as const)('curl by %s', async (_what, args, i, expected) => {
    expect(await curl([...args, url(i)], i)).toBe(expected);
  });

  test('curl hears server-sent events to their end', async () => {
    expect(await curl(['-N', url(0, '/events')])).toBe('data: 1\n\ndata: 2\n\n 1.1');
  });
});

test('a WebSocket keeps its compression and its close code', async () => {
  await start(['linker', '--proxy', backend, '--route', 'ws.test', '--concurrency', '2', '--', ...WS_ECHO_APP]);
  const socket = new WebSocket(`ws://127.0.0.1:${ports[0]}/`, { headers: { host: 'ws.test' }, perMessageDeflate: true });
  const text = 'again and again '.repeat(5_000);
  const echoed = await new Promise((resolve, reject) => {
    socket
      .once('error', reject)
      .once('open', () => socket.send(text))
      .once('message', (data) => resolve(String(data)));
  });
  expect(echoed).toBe(text);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.close(4_001, 'enough');
  expect(await closed).toBe(4_001);
});

test('gRPC by TLS: one answer for one question, and streams both ways', async () => {
  await setRoute(redis.url, 'grpc.test', 'protocol=h2c');
  const app = await startGrpc({
    unary: (call: ServerUnaryCall<number, number>, answer: sendUnaryData<number>) => answer(null, call.request + 1),
    count() {},
    sum() {},
    echo(call: ServerDuplexStream<number, number>) {
      call.on('data', (value: number) => call.write(-value)).on('end', () => call.end());
    },
  });
  await serve('grpc.test', app);
  const client = grpcClient(ports[1] as number, 'grpc.test', certificate.cert);
  const one = await new Promise((resolve, reject) => {
    client.makeUnaryRequest(...callOf(NUMBERS.unary), 41, (error, value) => (error === null ? resolve(value) : reject(error)));
  });
  expect(one).toBe(42);
  const stream: ClientDuplexStream<number, number> = client.makeBidiStreamRequest(...callOf(NUMBERS.echo));
  const values: number[] = [];
  const ended = new Promise((resolve, reject) => stream.once('end', resolve).once('error', reject));
  stream.on('data', (value: number) => {
    values.push(value);
    if (values.length < 20) stream.write(values.length + 1);
    else stream.end();
  });
  stream.write(1);
  await ended;
  expect(values).toEqual(Array.from({ length: 20 }, (_, i) => -(i + 1)));
});
