import { once } from 'node:events';
import { constants } from 'node:http2';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { HEADERS_MAX } from '../../../../src/node/http1/head/head-lines.ts';
import { HTTP2_LIMITS } from '../../../../src/node/http2/http2-limits.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, HTTP2, type LoneNodeOptions, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { askHttp2, closeHttp2, connectFrames, connectHttp2, goAwayCode, literals } from '../../../support/http2-client.ts';
import { frameBytes, Type } from '../../../support/http2-frames.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(async () => {
  closeHttp2();
  await closeEverything();
});

const END_STREAM = 1;
const END_HEADERS = 4;
const HEAD = literals({ ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'app.test' });
const { NGHTTP2_ENHANCE_YOUR_CALM } = constants;

function holding(options: LoneNodeOptions = {}) {
  return startLoneNode({ routes: { 'app.test': {} }, ...options });
}

describe('a connection of HTTP/2 is ended', () => {
  test('when its client breaks off streams as fast as it opens them (rapid reset)', async () => {
    const { port, node } = await holding();
    const client = await connectFrames(port);
    const resets = 2 * HTTP2.http2ResetsMax;
    for (let id = 1; id < 2 * resets; id += 2) {
      client.send(frameBytes(Type.HEADERS, END_STREAM | END_HEADERS, id, HEAD));
      client.send(frameBytes(Type.RST_STREAM, 0, id, Buffer.from([0, 0, 0, 8])));
    }
    await goAwayCode(client);
    await eventually('nobody held', () => node.held === 0);
  });

  test('when a head goes on and on (CONTINUATION flood)', async () => {
    const { port } = await holding();
    const client = await connectFrames(port);
    client.send(frameBytes(Type.HEADERS, END_STREAM, 1, HEAD));
    for (let i = 0; i < 1_000 && client.ending === null; i++) {
      client.send(frameBytes(Type.CONTINUATION, 0, 1, literals({ [`x-${i}`]: 'x'.repeat(100) })));
    }
    await goAwayCode(client);
    await client.ended();
  });

  test.each([
    ['SETTINGS', frameBytes(Type.SETTINGS, 0, 0, Buffer.from([0, 4, 0, 1, 0, 0]))],
    ['PING', frameBytes(Type.PING, 0, 0, Buffer.alloc(8))],
  ])('after too many %s frames', async (_what, flood) => {
    const { port } = await holding();
    const client = await connectFrames(port);
    for (let i = 0; i <= 3 * HTTP2.http2ControlFramesMax; i++) client.send(flood);
    expect(await goAwayCode(client)).toBe(NGHTTP2_ENHANCE_YOUR_CALM);
    await client.ended();
  });

  test('after a SETTINGS frame of too many entries', async () => {
    const { port } = await holding();
    const client = await connectFrames(port);
    client.send(frameBytes(Type.SETTINGS, 0, 0, Buffer.alloc(6 * (HTTP2_LIMITS.settingsMax + 1), Buffer.from([0, 4, 0, 1, 0, 0]))));
    await goAwayCode(client);
    await client.ended();
  });

  test('when it opens streams again and again that are refused', async () => {
    const { port, node } = await holding();
    const client = await connectFrames(port);
    const streams = HTTP2.http2StreamsMax + 3 * HTTP2_LIMITS.faultsMax;
    for (let id = 1; id < 2 * streams; id += 2) client.send(frameBytes(Type.HEADERS, END_STREAM | END_HEADERS, id, HEAD));
    await goAwayCode(client);
    await eventually('nobody held', () => node.held === 0);
  });

  test('when it sends heads again and again that are none', async () => {
    const { port } = await holding();
    const client = await connectFrames(port);
    const none = literals({ ':method': 'GET', ':scheme': 'http', ':path': '/', 'X-Upper': 'x' });
    for (let id = 1; id < 2 * (3 * HTTP2_LIMITS.faultsMax); id += 2) {
      client.send(frameBytes(Type.HEADERS, END_STREAM | END_HEADERS, id, none));
    }
    await goAwayCode(client);
    await client.ended();
  });

  test('when nothing is asked in time, or no more', async () => {
    const never = await connectFrames((await holding({ headTimeoutMs: 100 })).port);
    expect(await goAwayCode(never)).toBe(0);
    const { port } = await startLoneNode({ keepAliveTimeoutMs: 100 });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    expect((await askHttp2(session, {})).status).toBe(404);
    await eventually('its end', () => session.destroyed);
  });

  test('when it has begun the preface and does not end it', async () => {
    const { port } = await holding({ headTimeoutMs: 100 });
    const client = await connectClient(port);
    client.send('PRI * HT');
    await client.ended();
  });
});

describe('of the requests of one connection', () => {
  test(`no more than ${HTTP2.http2StreamsMax} are there at once`, async () => {
    const { port, node } = await holding();
    const client = await connectFrames(port);
    const streams = HTTP2.http2StreamsMax + 20;
    for (let id = 1; id < 2 * streams; id += 2) client.send(frameBytes(Type.HEADERS, END_STREAM | END_HEADERS, id, HEAD));
    await eventually('as many as may be are held', () => node.held === HTTP2.http2StreamsMax);
    let refused = 0;
    while (refused < 20) {
      const head = await client.take(9);
      await client.take(head.readUIntBE(0, 3));
      if (head[3] === Type.RST_STREAM) refused++;
    }
    expect(node.held).toBe(HTTP2.http2StreamsMax);
  });

  test('one with too many fields, or too large a head, is refused, and the others go on', async () => {
    const { port } = await startLoneNode();
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const fields = Object.fromEntries(Array.from({ length: HEADERS_MAX }, (_, i) => [`x-${i}`, 'x']));
    expect((await askHttp2(session, fields)).status).toBe(431);
    expect((await askHttp2(session, { 'x-large': 'x'.repeat(30_000) })).status).toBe(431);
    expect((await askHttp2(session, {})).status).toBe(404);
  });

  test(`one is refused while answers that nobody reads fill ${HTTP2_LIMITS.sessionBytesMax} bytes, and served when they were read`, async () => {
    const answers = 80;
    const app = await ScriptedApp.serving(() => ok(Buffer.alloc(200_000)));
    const { port } = await startServedNode(app.port, { concurrency: 200 });
    const client = await connectFrames(port);
    const ask = (id: number): boolean => client.send(frameBytes(Type.HEADERS, END_STREAM | END_HEADERS, id, HEAD));
    const begun = new Set<number>();
    const complete = new Set<number>();
    const resets: number[] = [];
    const readUntil = async (condition: () => boolean): Promise<void> => {
      while (!condition()) {
        const head = await client.take(9);
        const payload = await client.take(head.readUIntBE(0, 3));
        const [type, flags, id] = [head[3], head[4] as number, head.readUInt32BE(5)];
        if (type === Type.HEADERS) begun.add(id);
        else if (type === Type.DATA && (flags & END_STREAM) !== 0) complete.add(id);
        else if (type === Type.RST_STREAM) resets.push(payload.readUInt32BE(0));
      }
    };
    for (let i = 0; i < answers; i++) ask(2 * i + 1);
    await readUntil(() => begun.size === answers);
    // Their bodies may still be on their way; there are fewer streams than there may be.
    let id = 2 * answers + 1;
    let asked = answers;
    for (; resets.length === 0 && asked < HTTP2.http2StreamsMax; id += 2) {
      ask(id);
      asked++;
      await readUntil(() => begun.size + resets.length === asked);
      await delay(20);
    }
    expect(resets).toEqual([NGHTTP2_ENHANCE_YOUR_CALM]);
    for (const stream of [0, ...begun]) client.send(frameBytes(Type.WINDOW_UPDATE, 0, stream, Buffer.from([0x3f, 0, 0, 0])));
    await readUntil(() => complete.size === asked - 1);
    ask(id);
    await readUntil(() => begun.size + resets.length > asked);
    expect(resets).toHaveLength(1);
  });

  test('one whose body does not come is answered with 408', async () => {
    const { port, backendPort } = await startLoneNode({ stallTimeoutMs: 200 });
    const app = await ScriptedApp.listen();
    await FakeLinker.dial({ backendPort, appPort: app.port });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':method': 'POST', ':authority': 'app.test' });
    stream.write('some');
    const [head] = await once(stream, 'response');
    expect(head[':status']).toBe(408);
  });
});
