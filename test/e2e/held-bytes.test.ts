/** `--held-bytes-max` bounds what a node really keeps of uploads that wait, whatever they are sent by. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterEach, expect, test } from '@jest/globals';
import { makeCertificate } from '../support/certificate.ts';
import { type ClusterNode, metric, startNode } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { closeHttp2, connectHttp2 } from '../support/http2-client.ts';

const ROUTE = 'held.example.com';
const UPLOADS = 400;
const UPLOAD = Buffer.alloc(200_000, 'x');
/** Uploads kept whole as far as they are read would be more than 20 MB. What a process allocates besides is less than this. */
const BEYOND_BYTES = 5_000_000;

const directory = mkdtempSync(join(tmpdir(), 'pullproxy-held-'));
const sockets: Socket[] = [];
let node: ClusterNode | null = null;

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  closeHttp2();
  // What the kernels still have of those clients keeps it from draining.
  node?.kill('SIGKILL');
  await node?.exit;
  node = null;
  rmSync(directory, { recursive: true, force: true });
});

/** A node that knows the route, which nobody serves. */
async function startHolding(args: readonly string[] = []): Promise<ClusterNode> {
  const config = join(mkdtempSync(join(tmpdir(), 'pullproxy-held-')), 'routes.yaml');
  writeFileSync(config, `routes:\n  ${ROUTE}:\n    holdTimeout: 5m\n`);
  node = await startNode(null, ['--held-bytes-max', '1MiB', '--config', config, ...args]);
  return node;
}

/** What lies outside of V8's heap: bodies do. */
const externalBytes = (of: ClusterNode): Promise<number> => metric(of, 'nodejs_external_memory_bytes');

/** Sends all bodies, and waits until no more of them is taken. */
async function expectBound(of: ClusterNode, before: number, send: () => void, taken: () => number): Promise<void> {
  send();
  let last = -1;
  await eventually(
    'no more is taken',
    async () => {
      const now = taken();
      const isSettled = now === last;
      last = now;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return isSettled && now > 0;
    },
    30_000,
  );
  const held = 1_048_576;
  await eventually('what is kept is bounded', async () => (await externalBytes(of)) < before + held + BEYOND_BYTES, 30_000);
}

test.each(['http', 'https'] as const)(
  'uploads by HTTP/1.1, %s',
  async (scheme) => {
    const { cert, key } = makeCertificate(ROUTE);
    const files = { cert: join(mkdtempSync(join(tmpdir(), 'pullproxy-held-')), 'cert.pem'), key: '' };
    files.key = `${files.cert}.key`;
    writeFileSync(files.cert, cert);
    writeFileSync(files.key, key);
    const https = ['--listen', 'https://127.0.0.1:0', '--tls-cert', files.cert, '--tls-key', files.key];
    const holding = await startHolding(scheme === 'https' ? https : []);
    const url = (holding.ready.listen as string[]).find((listen) => listen.startsWith(`${scheme}:`)) as string;
    for (let i = 0; i < UPLOADS; i++) {
      const to = { port: Number(new URL(url).port), host: '127.0.0.1' };
      const socket = scheme === 'https' ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
      socket.on('error', () => {});
      sockets.push(socket);
      await once(socket, scheme === 'https' ? 'secureConnect' : 'connect');
      socket.write(`POST / HTTP/1.1\r\nHost: ${ROUTE}\r\nContent-Length: ${UPLOAD.length}\r\n\r\n`);
    }
    await eventually('all are held', async () => (await metric(holding, 'pullproxy_held')) === UPLOADS, 30_000);
    const before = await externalBytes(holding);
    await expectBound(
      holding,
      before,
      () => sockets.forEach((socket) => void socket.write(UPLOAD)),
      () => sockets.reduce((sum, socket) => sum + socket.bytesWritten - socket.writableLength, 0),
    );
    // They wait on: what is not read lies with the kernels.
    expect(await metric(holding, 'pullproxy_held')).toBe(UPLOADS);
  },
  60_000,
);

test('next requests behind one that is held', async () => {
  const holding = await startHolding();
  for (let i = 0; i < UPLOADS; i++) {
    const socket = connect(Number(new URL(holding.url).port), '127.0.0.1');
    socket.on('error', () => {});
    sockets.push(socket);
    await once(socket, 'connect');
    socket.write(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
  }
  await eventually('all are held', async () => (await metric(holding, 'pullproxy_held')) === UPLOADS, 30_000);
  const before = await externalBytes(holding);
  await expectBound(
    holding,
    before,
    () => sockets.forEach((socket) => void socket.write(UPLOAD)),
    () => sockets.reduce((sum, socket) => sum + socket.bytesWritten - socket.writableLength, 0),
  );
}, 60_000);

test('uploads by HTTP/2', async () => {
  const holding = await startHolding();
  const sessions: ClientHttp2Session[] = [];
  const streams: ClientHttp2Stream[] = [];
  for (let i = 0; i < UPLOADS / 100; i++) {
    const session = connectHttp2(holding.url);
    sessions.push(session);
    await once(session, 'remoteSettings');
    for (let j = 0; j < 100; j++) {
      const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': ROUTE });
      stream.on('error', () => {});
      streams.push(stream);
    }
  }
  await eventually('all are held', async () => (await metric(holding, 'pullproxy_held')) === UPLOADS, 30_000);
  const before = await externalBytes(holding);
  await expectBound(
    holding,
    before,
    () => streams.forEach((stream) => void stream.write(UPLOAD)),
    () => sessions.reduce((sum, { socket }) => sum + (socket?.bytesWritten ?? 1), 0),
  );
}, 60_000);
