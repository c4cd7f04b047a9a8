/** The least rate of bodies over HTTP/2, for applications of HTTP/1.1 and of HTTP/2 alike. */
import { once } from 'node:events';
import { type ClientHttp2Stream, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNode, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';

const HOST = 'pace.test';
const RATE = { bodyRateMin: 1_000, bodyGraceMs: 500 };
const cleanups: (() => void)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) cleanup();
  closeHttp2();
  await closeEverything();
});

/** An application that speaks `protocol` and answers when a request is complete, and a node in front of it. */
async function served(protocol: 'http1' | 'h2c'): Promise<LoneNode> {
  let appPort: number;
  if (protocol === 'http1') {
    appPort = (await ScriptedApp.serving(() => ok('whole'))).port;
  } else {
    const server = createServer();
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('error', () => {});
      stream.resume();
      stream.on('end', () => {
        if (stream.destroyed) return;
        stream.respond({ ':status': 200 });
        stream.end('whole');
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    cleanups.push(() => server.close());
    appPort = (server.address() as AddressInfo).port;
  }
  const lone = await startLoneNode({ ...RATE, routes: { [HOST]: { protocol } } });
  await FakeLinker.dial({ backendPort: lone.backendPort, appPort, route: HOST, concurrency: 1 });
  return lone;
}

/** Begins a request and sends `piece` again and again, `times` often. */
function upload(port: number, piece: string, times: number, headers = {}): ClientHttp2Stream {
  const stream = connectHttp2(`http://127.0.0.1:${port}`).request({ ':method': 'POST', ':path': '/', ':authority': HOST, ...headers });
  stream.on('error', () => {});
  let left = times;
  const timer = setInterval(() => {
    if (stream.destroyed || stream.writableEnded) return;
    if (left-- > 0) stream.write(piece);
    else stream.end();
  }, 50);
  cleanups.push(() => clearInterval(timer));
  stream.resume();
  return stream;
}

async function statusOf(stream: ClientHttp2Stream): Promise<number> {
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
  return Number(headers[':status']);
}

describe.each(['http1', 'h2c'] as const)('a body for an application of %s', (protocol) => {
  test('that comes byte by byte is answered with 408, and its slot is free', async () => {
    const { port, node } = await served(protocol);
    expect(await statusOf(upload(port, 'x', 100_000))).toBe(408);
    await eventually('the slot is idle', () => node.active === 0);
    expect(await statusOf(upload(port, 'x', 1))).toBe(200);
  });

  test('that comes at more than the rate may take long', async () => {
    const { port } = await served(protocol);
    expect(await statusOf(upload(port, 'x'.repeat(200), 40))).toBe(200);
  });
});

test('messages of gRPC come when there are some', async () => {
  const { port } = await served('h2c');
  expect(await statusOf(upload(port, 'x', 40, { 'content-type': 'application/grpc+proto' }))).toBe(200);
});
