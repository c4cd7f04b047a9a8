/** HAProxy and nginx as applications: what they read in a PROXY header is the client's own address. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from '@jest/globals';
import { startLinker, startNode } from '../../support/cluster.ts';
import { type Running, startProcess } from '../../support/processes.ts';
import { closeClients, connectClient } from '../../support/raw-client.ts';
import type { RawSocket } from '../../support/raw-socket.ts';

const GET = 'GET / HTTP/1.1\r\nHost: app.example.com\r\n\r\n';
const running: Running[] = [];
const directory = mkdtempSync(join(tmpdir(), 'pullproxy-applications-'));
const haproxyFile = join(directory, 'haproxy.cfg');
const nginxFile = join(directory, 'nginx.template');

const HAPROXY = ['haproxy', '-db', '-q', '-f', haproxyFile];
const NGINX = ['sh', '-c', `sed "s/PORT/$PORT/" ${nginxFile} > ${directory}/$PORT.conf && exec nginx -e stderr -c ${directory}/$PORT.conf`];

writeFileSync(
  haproxyFile,
  `
global
  maxconn 100
defaults
  mode http
  timeout client 10s
  timeout http-keep-alive 10s
frontend application
  bind "127.0.0.1:\${PORT}" accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
`,
);
writeFileSync(
  nginxFile,
  `
daemon off; pid ${directory}/nginx.pid; worker_processes 1; error_log stderr crit;
events { worker_connections 100; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/${name};`).join(' ')}
  server {
    listen 127.0.0.1:PORT proxy_protocol;
    location / { return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port"; }
  }
}
`,
);

afterEach(async () => {
  closeClients();
  for (const process of running.splice(0).reverse()) await process.stop();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function endsOf({ socket }: RawSocket): string {
  return `${socket.localAddress} ${socket.localPort} ${socket.remoteAddress} ${socket.remotePort}`;
}

/** Each asks several times, all at the same time. */
async function expectNamed(port: number, host: string, addresses: readonly string[]): Promise<void> {
  const clients = await Promise.all(addresses.map((address) => connectClient(port, host, address)));
  const ask = async (client: RawSocket): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      client.send(GET);
      expect((await client.response()).text).toBe(endsOf(client));
    }
  };
  await Promise.all(clients.map(ask));
}

const ADDRESSES = ['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.3'];

test.each([
  ['HAProxy', 'v1', HAPROXY],
  ['HAProxy', 'v2', HAPROXY],
  ['nginx', 'v1', NGINX],
  ['nginx', 'v2', NGINX],
] as const)('%s is told by %s whom it talks to', async (_name, version, app) => {
  execFileSync(app === HAPROXY ? 'haproxy' : 'nginx', ['-v'], { stdio: 'ignore' });
  const args = ['--listen', 'http://[::1]:0', '--listen', 'tcp://127.0.0.1:0?route=app.example.com', '--listen', 'http://127.0.0.1:0'];
  const node = await startNode(null, args);
  running.push(node);
  const linker = { proxies: [node.backend], route: 'app.example.com', concurrency: 3, app, args: ['--app-proxy-protocol', version] };
  running.push(await startLinker(linker));
  const ports = (node.ready.listen as string[]).map((url) => Number(new URL(url).port));
  const [, overIpv6, overTcp, overHttp] = ports as [number, number, number, number];
  await expectNamed(overHttp, '127.0.0.1', ADDRESSES);
  await expectNamed(overIpv6, '::1', ['::1', '::1']);
  await expectNamed(overTcp, '127.0.0.1', ADDRESSES.slice(0, 3));
});

test('dev has the option, too', async () => {
  const ports = ['--listen', 'http://127.0.0.1:0', '--admin', '127.0.0.1:0'];
  const dev = await startProcess(['dev', ...ports, '--app-proxy-protocol', 'v2', '--', ...HAPROXY]);
  running.push(dev);
  const port = Number(new URL((dev.ready.listen as string[])[0] as string).port);
  await expectNamed(port, '127.0.0.1', ADDRESSES);
});
