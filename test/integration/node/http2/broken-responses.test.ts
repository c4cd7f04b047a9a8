/** Applications that break off their answer, in whatever way: no part of it is taken for the whole. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, type LoneNode, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { block, requestBlock, settings, Type } from '../../../support/http2-frames.ts';
import { FramePeer } from '../../../support/http2-peer.ts';

afterEach(async () => {
  closeHttp2();
  await closeEverything();
});

const CODES = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0xffff_ffff];
const OK = block([[':status', '200']]);

type Breaking = readonly [what: string, breaking: (application: FramePeer) => void];

const BREAKINGS: readonly Breaking[] = [
  ...CODES.map((code): Breaking => [`RST_STREAM with ${code}`, (application) => application.reset(1, code)]),
  ['a FIN', (application) => application.raw.end()],
  ['a broken connection', (application) => application.raw.reset()],
  [
    'a GOAWAY and a FIN',
    (application) => {
      application.goAway(0, 1);
      application.raw.end();
    },
  ],
  ['a GOAWAY with an error', (application) => application.goAway(2, 1)],
  ['a GOAWAY that leaves the stream out', (application) => application.goAway(0, 0)],
  [
    'a GOAWAY, DATA of a stream that is none, and a FIN',
    (application) => {
      application.goAway(0, 1);
      // Node reads no more of what comes behind both, not even the end.
      setTimeout(() => {
        application.data(3, 'x');
        setTimeout(() => application.raw.end(), 50);
      }, 50);
    },
  ],
  [
    'a GOAWAY and DATA of a stream that is none',
    (application) => {
      application.goAway(0, 1);
      setTimeout(() => application.data(3, 'x'), 50);
    },
  ],
  ['DATA on stream 0', (application) => application.data(0, 'x')],
  ['a WINDOW_UPDATE of 3 bytes', (application) => application.send(Type.WINDOW_UPDATE, 0, 1, Buffer.alloc(3))],
  ['a second head', (application) => application.headers(1, OK)],
];

interface Playing extends LoneNode {
  readonly app: ScriptedApp;
}

async function playing(concurrency = 1): Promise<Playing> {
  const app = await ScriptedApp.listen();
  const lone = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } } });
  await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, route: 'app.test', concurrency });
  return { ...lone, app };
}

describe('a response of an application of HTTP/2 that is broken off', () => {
  test.each(BREAKINGS)('in its body by %s is broken off for the client, too', async (_what, breaking) => {
    const { port, app, node } = await playing();
    const client = await FramePeer.client(port);
    client.headers(1, requestBlock(), true);
    const application = await FramePeer.application(await app.next());
    await application.until(Type.HEADERS);
    application.headers(1, OK);
    application.data(1, 'part of it');
    await client.until(Type.DATA);
    breaking(application);
    const end = await client.endOf(1);
    expect([end === 'end', end === 0]).toEqual([false, false]);
    expect(client.hasEnded(1)).toBe(false);
    await eventually('the slot is idle', () => node.active === 0);
    await client.judged();
  });

  test.each(BREAKINGS)('by %s while its client does not read is broken off, too', async (_what, breaking) => {
    const { port, app, node } = await playing();
    const client = await FramePeer.client(port, settings([4, 100]));
    client.headers(1, requestBlock(), true);
    const application = await FramePeer.application(await app.next());
    await application.until(Type.HEADERS);
    application.headers(1, OK);
    for (let i = 0; i < 3; i++) application.data(1, Buffer.alloc(16_000));
    await client.until(Type.DATA);
    breaking(application);
    await eventually('the slot is idle', () => node.active === 0);
    client.open(1_000_000, 1);
    const end = await client.endOf(1);
    expect([end === 'end', end === 0]).toEqual([false, false]);
  });

  test.each(BREAKINGS)('by %s before its head is answered for, or reset', async (_what, breaking) => {
    const { port, app, node } = await playing();
    const client = await FramePeer.client(port);
    client.headers(1, requestBlock(), true);
    const application = await FramePeer.application(await app.next());
    await application.until(Type.HEADERS);
    if (_what === 'a second head') application.headers(1, block([['x', 'no status']]));
    else breaking(application);
    const end = await client.endOf(1);
    if (end === 'end') expect(client.contentOf(1).toString()).toContain('502 Bad Gateway');
    else expect(end).not.toBe(0);
    await eventually('the slot is idle', () => node.active === 0);
    await client.judged();
  });

  test('in its trailers is broken off for the client, too', async () => {
    const { port, app } = await playing();
    const client = await FramePeer.client(port);
    client.headers(1, requestBlock(), true);
    const application = await FramePeer.application(await app.next());
    await application.until(Type.HEADERS);
    application.headers(1, OK);
    application.data(1, 'part of it');
    application.headers(1, block([['x-sum', '1']]), false);
    expect(await client.endOf(1)).not.toBe('end');
  });
});

describe('a response of an application of HTTP/2 that is whole', () => {
  test.each([0, 8])('arrives as a whole when a reset with %d stops the request’s body', async (code) => {
    const { port, app } = await playing();
    const client = await FramePeer.client(port);
    client.headers(1, requestBlock({ ':method': 'POST' }));
    client.data(1, 'some of it');
    const application = await FramePeer.application(await app.next());
    await application.until(Type.DATA);
    application.headers(1, OK);
    application.data(1, 'too much', true);
    if (code === 0) application.reset(1, code);
    expect(await client.endOf(1)).toBe('end');
    expect(client.contentOf(1).toString()).toBe('too much');
    if (code !== 0) application.reset(1, code);
    expect((await client.until(Type.RST_STREAM)).payload.readUInt32BE(0)).toBe(0);
  });

  test('arrives as a whole when its client reads late, and with its trailers', async () => {
    const { port, app, node } = await playing();
    const client = await FramePeer.client(port, settings([4, 100]));
    client.headers(1, requestBlock(), true);
    const application = await FramePeer.application(await app.next());
    await application.until(Type.HEADERS);
    application.headers(1, OK);
    for (let i = 0; i < 3; i++) application.data(1, Buffer.alloc(16_000));
    application.headers(1, block([['x-sum', '1']]), true);
    application.goAway(0, 1);
    application.raw.end();
    await client.until(Type.DATA);
    client.open(1_000_000, 1);
    expect(await client.endOf(1)).toBe('end');
    expect(client.contentOf(1)).toHaveLength(48_000);
    await eventually('the slot is idle', () => node.active === 0);
  });

  test('of a session that is closing arrives', async () => {
    const { port, app } = await playing();
    const client = await FramePeer.client(port);
    client.headers(1, requestBlock(), true);
    const application = await FramePeer.application(await app.next());
    await application.until(Type.HEADERS);
    application.goAway(0, 1);
    application.headers(1, OK);
    application.data(1, 'whole', true);
    expect(await client.endOf(1)).toBe('end');
    expect(client.contentOf(1).toString()).toBe('whole');
  });
});

describe('a response of an application of HTTP/1.1 that is broken off', () => {
  const PARTS = [
    ['in a body with a length', 'Content-Length: 20\r\n\r\npart of it'],
    ['in a chunk', 'Transfer-Encoding: chunked\r\n\r\n14\r\npart of it'],
    ['between chunks', 'Transfer-Encoding: chunked\r\n\r\na\r\npart of it\r\n'],
    ['before its last chunk is complete', 'Transfer-Encoding: chunked\r\n\r\na\r\npart of it\r\n0\r\n'],
    ['in its trailers', 'Transfer-Encoding: chunked\r\n\r\na\r\npart of it\r\n0\r\nX-Sum: 1\r\n'],
    ['by what is no chunk', 'Transfer-Encoding: chunked\r\n\r\na\r\npart of it\r\nxyz\r\n'],
    ['by a chunk beyond all numbers', 'Transfer-Encoding: chunked\r\n\r\na\r\npart of it\r\nffffffffffffffffff\r\n'],
  ] as const;

  test.each(PARTS.flatMap(([where, part]) => (['fin', 'reset'] as const).map((how) => [where, how, part] as const)))(
    '%s (%s) is broken off for the client, too',
    async (_where, how, part) => {
      let began = (): void => {};
      const headCame = new Promise<void>((resolve) => {
        began = resolve;
      });
      const app = await ScriptedApp.listen(async (connection) => {
        await connection.request();
        const [head = '', rest = ''] = part.split('of it');
        connection.send(`HTTP/1.1 200 OK\r\n${head}of it`);
        // The answer has begun.
        await headCame;
        if (rest !== '') connection.send(rest);
        await delay(20);
        if (how === 'fin') connection.end();
        else connection.reset();
      });
      const { port } = await startServedNode(app.port);
      const client = await FramePeer.client(port);
      client.headers(1, requestBlock(), true);
      await client.until(Type.DATA);
      began();
      const end = await client.endOf(1);
      expect([end === 'end', end === 0]).toEqual([false, false]);
      expect(client.contentOf(1).toString()).toBe('part of it');
      await client.judged();
    },
  );

  test('ends no other one of the connection', async () => {
    const app = await ScriptedApp.serving(({ startLine }) =>
      startLine.includes('/bad')
        ? 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'
        : 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    );
    const { port } = await startServedNode(app.port);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    for (let i = 0; i < 5; i++) {
      expect((await askHttp2(session, { ':path': '/bad' })).status).toBe(502);
      expect((await askHttp2(session, {})).text).toBe('ok');
    }
  });
});
