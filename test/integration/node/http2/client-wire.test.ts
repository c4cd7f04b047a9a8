/** What single frames do to their stream, and not to its neighbours; and what is counted relative to what is served. */
import { constants } from 'node:http2';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { FrameTalk } from '../../../support/frame-talk.ts';
import { closeEverything, type LoneNodeOptions, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectHttp2, literals } from '../../../support/http2-client.ts';
import { frameBytes, Type } from '../../../support/http2-frames.ts';

afterEach(async () => {
  closeHttp2();
  await closeEverything();
});

const END_STREAM = 1;
const PSEUDO = { ':scheme': 'http', ':path': '/', ':authority': 'app.test' };
const GET = literals({ ':method': 'GET', ...PSEUDO });
const POST = literals({ ':method': 'POST', ...PSEUDO });
const { NGHTTP2_PROTOCOL_ERROR, NGHTTP2_FLOW_CONTROL_ERROR, NGHTTP2_STREAM_CLOSED, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_COMPRESSION_ERROR } =
  constants;

function post(length: number): Buffer {
  return Buffer.concat([POST, literals({ 'content-length': String(length) })]);
}

/** A node whose application answers at once, with what the header `x-told` said; and a client. */
async function answering(options: LoneNodeOptions & { concurrency?: number } = {}) {
  const app = await ScriptedApp.serving(({ values, body }) => ok(values('x-told').join() || body));
  const { port, node } = await startServedNode(app.port, { concurrency: 20, ...options });
  return { app, port, node, talk: await FrameTalk.connect(port) };
}

/** A client, a node, and an application that takes its requests from the test. */
async function scripted(options: LoneNodeOptions = {}) {
  const app = await ScriptedApp.listen();
  const { port, node } = await startServedNode(app.port, options);
  return { app, node, talk: await FrameTalk.connect(port) };
}

describe('a request with a field that nghttp2 drops is refused', () => {
  test.each([
    ['a control byte in its value', 'cookie', 'a=1\x01'],
    ['a line end in its value', 'authorization', 'x\r\ny'],
    ['NUL in its value', 'authorization', 'x\0'],
    ['a name that is none', 'x y', 'z'],
    ['no name', '', 'z'],
  ])('%s', async (_what, name, value) => {
    const { talk, app } = await answering();
    talk.headers(1, Buffer.concat([GET, literals({ [name]: value })]));
    expect(await talk.end(1)).toMatchObject({ status: 400, complete: true });
    talk.headers(3, GET);
    expect(await talk.end(3)).toMatchObject({ status: 200 });
    expect(app.connections).toHaveLength(1);
  });

  test('also where it comes out of the table', async () => {
    const { talk } = await answering();
    const inserted = Buffer.concat([Buffer.from([0x40, 1, 97, 1, 0])]);
    talk.headers(1, Buffer.concat([GET, inserted]));
    talk.headers(3, Buffer.concat([GET, Buffer.from([0x80 | 62])]));
    expect([await talk.end(1), await talk.end(3)]).toMatchObject([{ status: 400 }, { status: 400 }]);
  });

  test('in its trailers, and the application hears of no complete request', async () => {
    const { talk, app } = await scripted();
    talk.headers(1, POST, 0);
    talk.data(1, 'hello');
    const connection = await app.next();
    await connection.takeThrough('hello');
    talk.headers(1, literals({ 'x-sum': 'a\x01' }));
    expect(await talk.end(1)).toMatchObject({ reset: NGHTTP2_PROTOCOL_ERROR });
    await connection.ended();
    expect(connection.unread.toString()).not.toContain('\r\n0\r\n');
  });

  test('and white space around a value is taken off, as that of HTTP/1.1 is', async () => {
    const app = await ScriptedApp.serving(({ values }) => ok(values('cookie').join()));
    const { port } = await startServedNode(app.port);
    const talk = await FrameTalk.connect(port);
    talk.headers(1, Buffer.concat([GET, literals({ cookie: 'a=1; ' })]));
    expect(await talk.end(1)).toMatchObject({ status: 200, bytes: 4 });
  });
});

describe('one stream is reset, and its neighbour goes on', () => {
  test.each([
    ['more DATA than its content-length', 3, 'hello', 0, NGHTTP2_PROTOCOL_ERROR],
    ['less DATA than its content-length', 10, 'hello', END_STREAM, NGHTTP2_PROTOCOL_ERROR],
    ['more DATA than its window', 200_000, Buffer.alloc(16_384), 0, NGHTTP2_FLOW_CONTROL_ERROR],
  ])('by %s', async (_what, length, content, flags, code) => {
    const { talk, app } = await scripted();
    talk.headers(1, GET);
    const neighbour = await app.next();
    await neighbour.request();
    talk.headers(3, post(length), 0);
    for (let i = 0; i < 12 && talk.of(3).reset === null; i++) talk.data(3, content, flags);
    expect(await talk.end(3)).toMatchObject({ reset: code });
    neighbour.send(ok('hello'));
    expect(await talk.end(1)).toMatchObject({ status: 200, bytes: 5, complete: true });
  });

  test('by DATA after its end', async () => {
    const { talk, app } = await scripted();
    talk.headers(1, GET);
    const neighbour = await app.next();
    await neighbour.request();
    talk.headers(3, GET);
    await app.next();
    talk.data(3, 'hello');
    expect(await talk.end(3)).toMatchObject({ reset: NGHTTP2_STREAM_CLOSED });
    neighbour.send(ok('hello'));
    expect(await talk.end(1)).toMatchObject({ status: 200, complete: true });
  });

  test('by a window of its response that is too large', async () => {
    const { talk, app } = await scripted();
    talk.headers(1, GET);
    const neighbour = await app.next();
    await neighbour.request();
    talk.headers(3, GET);
    const window = (): unknown => talk.client.send(frameBytes(Type.WINDOW_UPDATE, 0, 3, Buffer.from([0x7f, 0xff, 0xff, 0xff])));
    window();
    expect(await talk.end(3)).toMatchObject({ reset: NGHTTP2_FLOW_CONTROL_ERROR });
    neighbour.send(ok('hello'));
    expect(await talk.end(1)).toMatchObject({ status: 200, complete: true });
  });
});

test('nothing of a stream follows its RST_STREAM, also when its response was on its way', async () => {
  const talk = await FrameTalk.connect((await startLoneNode()).port);
  const nobody = literals({ ':method': 'POST', ':scheme': 'http', ':path': '/', ':authority': 'nobody' });
  for (let id = 1; id < 80; id += 2) {
    talk.headers(id, nobody, 0);
    talk.client.send(Buffer.concat(Array.from({ length: 7 }, () => frameBytes(Type.DATA, 0, id, Buffer.alloc(16_384)))));
    await talk.end(id);
  }
  talk.headers(81, literals({ ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'nobody' }));
  expect(await talk.end(81)).toMatchObject({ status: 404 });
  for (let id = 1; id < 80; id += 2) expect(talk.of(id).afterReset).toBe(false);
});

describe('a connection goes on', () => {
  test('with an empty DATA frame in each of many requests', async () => {
    const { talk } = await answering();
    for (let id = 1; id < 300; id += 2) {
      talk.headers(id, POST, 0);
      talk.data(id, '');
      talk.data(id, 'x', END_STREAM);
      expect(await talk.end(id)).toMatchObject({ status: 200, complete: true });
    }
  });

  test('while its client answers each piece of a response with a PING and two WINDOW_UPDATEs', async () => {
    const pieces = 200;
    const { talk, app } = await scripted({ http2ControlFramesMax: 50 });
    talk.headers(1, GET);
    const connection = await app.next();
    await connection.request();
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    const update = Buffer.from([0, 0, 0, 10]);
    for (let i = 1; i <= pieces; i++) {
      connection.send('a\r\n0123456789\r\n');
      await eventually('the next piece', () => talk.of(1).bytes === i * 10 || talk.goAway !== null);
      talk.client.send(
        Buffer.concat([
          frameBytes(Type.PING, 0, 0, Buffer.alloc(8)),
          frameBytes(Type.WINDOW_UPDATE, 0, 0, update),
          frameBytes(Type.WINDOW_UPDATE, 0, 1, update),
        ]),
      );
    }
    connection.send('0\r\n\r\n');
    expect(await talk.end(1)).toMatchObject({ complete: true });
    await eventually('every PING is answered', () => talk.pongs === pieces);
  });

  test('while its client cancels as many requests as it lets be served', async () => {
    const { talk } = await answering({ http2ResetsMax: 20 });
    for (let id = 1; id < 200; id += 4) {
      talk.headers(id, POST, 0);
      talk.reset(id);
      talk.headers(id + 2, GET);
      expect(await talk.end(id + 2)).toMatchObject({ status: 200, complete: true });
    }
  });

  test('after a response to a PING that nobody sent, and after frames of a stream that was reset here', async () => {
    const { talk } = await answering({ headBytesMax: 1_024 });
    talk.client.send(frameBytes(Type.PING, 1, 0, Buffer.alloc(8)));
    talk.headers(1, Buffer.concat([POST, ...Array.from({ length: 20 }, (_, i) => literals({ [`x-${i}`]: 'x'.repeat(100) }))]), 0);
    await talk.end(1);
    for (let i = 0; i < 5; i++) talk.data(1, 'more');
    talk.headers(1, literals({ 'x-trailer': 'x' }));
    talk.headers(3, GET);
    expect(await talk.end(3)).toMatchObject({ status: 200, complete: true });
  });
});

describe('a connection is ended', () => {
  test.each([
    ['HEADERS of a stream that is over', 1, NGHTTP2_STREAM_CLOSED],
    ['HEADERS of a stream below the last one', 3, NGHTTP2_PROTOCOL_ERROR],
  ])('by %s', async (_what, again, code) => {
    const { talk } = await answering();
    const first = again === 1 ? 1 : 5;
    talk.headers(first, GET);
    await talk.end(first);
    talk.headers(again, GET);
    await eventually('its end', () => talk.goAway === code);
  });

  test('by a header block that is none', async () => {
    const { talk } = await answering();
    talk.headers(1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
    await eventually('its end', () => talk.goAway === NGHTTP2_COMPRESSION_ERROR);
  });

  test.each([
    ['empty DATA frames', Type.DATA, Buffer.alloc(0)],
    ['WINDOW_UPDATE frames', Type.WINDOW_UPDATE, Buffer.from([0, 0, 0, 1])],
    ['frames of an unknown type', 0xfa, Buffer.alloc(3)],
  ])('by too many %s', async (_what, type, payload) => {
    const talk = await FrameTalk.connect((await startLoneNode({ routes: { 'app.test': {} } })).port);
    talk.headers(1, POST, 0);
    for (let i = 0; i < 300; i++) talk.client.send(frameBytes(type, 0, 1, payload));
    await eventually('its end', () => talk.goAway === NGHTTP2_ENHANCE_YOUR_CALM);
  });
});

test('a cookie in many pieces is one field', async () => {
  const crumbs = Array.from({ length: 500 }, (_, i) => `n${i}=v${i}`);
  const app = await ScriptedApp.serving(({ values }) => ok(values('cookie').join('|')));
  const { port } = await startServedNode(app.port);
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  expect(await askHttp2(session, { cookie: crumbs })).toMatchObject({ status: 200, text: crumbs.join('; ') });
});
