/** Requests to applications of HTTP/2 that Node's own client would not send. */

import { once } from 'node:events';
import { createServer, type Http2Server, type IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { block, requestBlock } from '../../../support/http2-frames.ts';
import { FramePeer } from '../../../support/http2-peer.ts';

let app: Http2Server;
let came: IncomingHttpHeaders[];

beforeEach(async () => {
  came = [];
  app = createServer().listen(0, '127.0.0.1');
  app.on('stream', (stream, headers) => {
    came.push(headers);
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  await once(app, 'listening');
});

afterEach(async () => {
  await closeEverything();
  app.close();
});

async function connected(): Promise<FramePeer> {
  const { port, backendPort } = await startLoneNode({ routes: { '*': { protocol: 'h2c' } } });
  await FakeLinker.dial({ backendPort, appPort: (app.address() as AddressInfo).port, route: '*' });
  return FramePeer.client(port);
}

async function isServed(client: FramePeer, stream: number, fields: Buffer): Promise<void> {
  client.headers(stream, fields, true);
  expect(await client.endOf(stream)).toBe('end');
  expect(client.contentOf(stream).toString()).toBe('ok');
}

describe('a request to an application of HTTP/2', () => {
  test.each([['Trailers'], ['TRAILERS'], ['trailers', 'trailers'], ['trailers', 'Trailers'], ['trailers']])(
    'says te: %s as trailers',
    async (...values) => {
      const client = await connected();
      await isServed(client, 1, requestBlock({}, ...values.map((value) => ['te', value] as const)));
      expect(came.map(({ te }) => te)).toEqual(['trailers']);
    },
  );

  test.each([
    '1.2.3.4.5',
    '256.1.1.1',
    '[::::]',
    '[1:2]',
    '999.999',
    '0x7f.1',
    '1e3',
    'a..b',
    '-',
    '_',
    'xn--',
    '[::1]:99',
    'a:99999',
    '.',
  ])('may have the authority %s', async (authority) => {
    const client = await connected();
    await isServed(client, 1, requestBlock({ ':authority': authority }));
    expect(came.map((headers) => headers[':authority'])).toEqual([authority]);
  });

  test('may have names of an object’s own, and repeated fields', async () => {
    const client = await connected();
    const names = ['constructor', '__proto__', 'prototype', 'valueof', 'then', '0'];
    await isServed(
      client,
      1,
      requestBlock({}, ...names.map((name) => [name, `value of ${name}`] as const), ['range', 'a'], ['range', 'b']),
    );
    expect(names.map((name) => Object.entries(came[0] ?? {}).find(([key]) => key === name)?.[1])).toEqual(
      names.map((name) => `value of ${name}`),
    );
  });

  test.each([
    ['an empty DATA frame', (client: FramePeer) => client.data(1, '', true)],
    ['trailers', (client: FramePeer) => client.headers(1, block([['x-sum', '1']]), true)],
    [
      'several DATA frames, empty and not',
      (client: FramePeer) => {
        for (const piece of ['', 'a', '', '']) client.data(1, piece);
        client.data(1, '', true);
      },
    ],
  ])('may end with %s right behind its head, or later', async (_what, ending) => {
    app.removeAllListeners('stream');
    app.on('stream', (stream) => {
      stream.respond({ ':status': 200 });
      stream.resume().once('end', () => stream.end('ok'));
    });
    for (const corks of [true, false]) {
      const client = await connected();
      if (corks) client.raw.socket.cork();
      client.headers(1, requestBlock({ ':method': 'POST' }));
      if (!corks) await client.judged();
      ending(client);
      client.raw.socket.uncork();
      expect(await client.endOf(1)).toBe('end');
      expect(client.contentOf(1).toString()).toBe('ok');
    }
  });

  test('may use any method and any path', async () => {
    const client = await connected();
    const paths = ['/', '/%00', '/?', '//', '/a%2fb'];
    for (const [i, path] of paths.entries()) await isServed(client, 2 * i + 1, requestBlock({ ':method': 'DELETE', ':path': path }));
    expect(came.map((headers) => headers[':path'])).toEqual(paths);
  });
});
