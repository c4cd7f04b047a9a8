/** HTTP/2 and TLS as other people's programs speak them: nghttp2's, python-h2, gRPC's C core, curl and OpenSSL. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { SECRET, setRoute } from '../support/cluster.ts';
import { type Running, startProcess } from '../support/processes.ts';
import { output } from '../support/programs.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';

jest.setTimeout(120_000);

const PYTHON = '/usr/bin/python3';
const GRPC = fileURLToPath(new URL('../support/apps/grpc_bytes.py', import.meta.url));
const H2_CLIENT = fileURLToPath(new URL('../support/apps/h2_client.py', import.meta.url));
const env = { PULLPROXY_SECRET: SECRET };
const directory = mkdtempSync(join(tmpdir(), 'pullproxy-http2-'));
const running: Running[] = [];
let certificate: Certificate;
let redis: RedisServer;
/** The ports of the http listener, of the https listener, and of the backend. */
let ports: readonly [number, number, number];

/** Sends back what it gets. */
const echo = createServer((request, response) => {
  response.setHeader('x-length', request.headers['content-length'] ?? '');
  request.pipe(response);
});

async function start(args: readonly string[]): Promise<Running> {
  const one = await startProcess(args, { env });
  running.push(one);
  return one;
}

beforeAll(async () => {
  certificate = makeCertificate('web.test');
  redis = await startRedis();
  echo.listen(0, '127.0.0.1');
  const tls = ['--tls-cert', certificate.certFile, '--tls-key', certificate.keyFile];
  const listen = [
    '--listen',
    'http://127.0.0.1:0',
    '--listen',
    'https://127.0.0.1:0',
    '--backend',
    '127.0.0.1:0',
    '--admin',
    '127.0.0.1:0',
  ];
  const node = await start(['node', ...listen, ...tls, '--redis', redis.url]);
  const [http, https] = (node.ready.listen as string[]).map((url) => Number(new URL(url).port));
  const backend = node.ready.backend as string;
  ports = [http as number, https as number, Number(backend.split(':')[1])];
  const web = (echo.address() as AddressInfo).port;
  await start(['linker', '--proxy', backend, '--route', 'web.test', '--concurrency', '10', '--app', `127.0.0.1:${web}`]);
  await setRoute(redis.url, 'grpc.test', 'protocol=h2c');
  await start(['linker', '--proxy', backend, '--route', 'grpc.test', '--concurrency', '2', '--', PYTHON, GRPC, 'serve']);
});

afterAll(async () => {
  for (const one of running.reverse()) await one.stop();
  await redis?.stop();
  echo.close();
  certificate?.remove();
  rmSync(directory, { recursive: true });
});

describe('HTTP/2', () => {
  test('h2load has all of its requests served, more at once than there are slots', async () => {
    const args = ['-n', '2000', '-c', '4', '-m', '50', '-H', ':authority: web.test', `http://127.0.0.1:${ports[0]}/`];
    expect(await output('h2load', args)).toMatch(/2000 succeeded, 0 failed, 0 errored, 0 timeout/);
  });

  test('nghttp uploads, and gets back what it sent', async () => {
    const args = ['-n', '-v', '-d', certificate.certFile, '-H', ':authority: web.test', '-m', '20', `https://127.0.0.1:${ports[1]}/`];
    const said = await output('nghttp', ['--no-verify-peer', ...args]);
    expect(said.match(/:status: 200/g)).toHaveLength(20);
  });

  test('python-h2 uploads and downloads 5 MB with a PING for each piece, and a cookie in 200 pieces', async () => {
    expect(await output(PYTHON, [H2_CLIENT, String(ports[0]), 'web.test', '5000000'])).toBe('200 5000000\n');
  });

  test('curl uploads 5 MB', async () => {
    const resolve = ['--resolve', `web.test:${ports[1]}:127.0.0.1`, '--cacert', certificate.certFile];
    const file = join(directory, 'body');
    writeFileSync(file, Buffer.alloc(5_000_000));
    const body = ['-T', file, '-o', '/dev/null', '-w', '%{http_version} %{http_code} %{size_upload} %{size_download}'];
    const said = await output('curl', ['-sS', '--http2', ...resolve, ...body, `https://web.test:${ports[1]}/`]);
    expect(said).toBe('2 200 5000000 5000000');
  });

  test("gRPC's C core probes the bandwidth of 20,000 small messages, and of 64 MB", async () => {
    const ask = (count: number, bytes: number): Promise<string> =>
      output(PYTHON, [GRPC, 'ask', String(ports[0]), 'grpc.test', String(count), String(bytes)]);
    expect(await ask(20_000, 1_000)).toBe('20000000 20000000\n');
    expect(await ask(64, 1_000_000)).toBe('64000000 64000000\n');
  });
});

describe('TLS', () => {
  test('testssl.sh finds no renegotiation by the client', async () => {
    const said = await output('testssl', ['--color', '0', '--quiet', '-R', `127.0.0.1:${ports[1]}`], { TERM: 'dumb' });
    expect(said).toMatch(/Secure Client-Initiated Renegotiation\s+not vulnerable \(OK\)/);
  });
});
