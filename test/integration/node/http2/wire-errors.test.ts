/** Which frames of a client end its connection, and by which error (RFC 9113); and whatever comes, in whatever pieces. */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ClientWire } from '../../../../src/node/http2/client-wire.ts';
import type { OpenedRequest } from '../../../../src/node/http2/request-fields.ts';
import { WindowBudget } from '../../../../src/node/http2/upload-windows.ts';
import { closeEverything, LIMITS, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { closeHttp2, connectHttp2 } from '../../../support/http2-client.ts';
import { block, Flag, frameBytes, requestBlock, settings, Type, uint32 } from '../../../support/http2-frames.ts';
import { FramePeer } from '../../../support/http2-peer.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(async () => {
  closeHttp2();
  await closeEverything();
});

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const [PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, COMPRESSION_ERROR] = [1, 3, 6, 9];
const HEAD = requestBlock();

async function goAwayOf(peer: FramePeer): Promise<number> {
  return (await peer.until(Type.GOAWAY)).payload.readUInt32BE(4);
}

describe('a connection ends', () => {
  test.each([
    ['a SETTINGS frame on a stream', frameBytes(Type.SETTINGS, 0, 1), PROTOCOL_ERROR],
    [
      'a HEADERS frame that depends on its own stream',
      frameBytes(Type.HEADERS, Flag.END_HEADERS | Flag.END_STREAM | 0x20, 1, Buffer.concat([uint32(1), Buffer.of(16), HEAD])),
      PROTOCOL_ERROR,
    ],
    ['a SETTINGS frame of seven bytes', frameBytes(Type.SETTINGS, 0, 0, Buffer.alloc(7)), FRAME_SIZE_ERROR],
    ['an acknowledgement of SETTINGS with content', frameBytes(Type.SETTINGS, Flag.ACK, 0, Buffer.alloc(6)), FRAME_SIZE_ERROR],
    ['a window beyond all windows', frameBytes(Type.SETTINGS, 0, 0, settings([4, 2 ** 31])), FLOW_CONTROL_ERROR],
    ['frames smaller than all take', frameBytes(Type.SETTINGS, 0, 0, settings([5, 16_383])), PROTOCOL_ERROR],
    ['a push that is neither on nor off', frameBytes(Type.SETTINGS, 0, 0, settings([2, 2])), PROTOCOL_ERROR],
    ['a PING on a stream', frameBytes(Type.PING, 0, 1, Buffer.alloc(8)), PROTOCOL_ERROR],
    ['a PING of seven bytes', frameBytes(Type.PING, 0, 0, Buffer.alloc(7)), FRAME_SIZE_ERROR],
    ['a GOAWAY on a stream', frameBytes(Type.GOAWAY, 0, 1, Buffer.alloc(8)), PROTOCOL_ERROR],
    ['a GOAWAY of seven bytes', frameBytes(Type.GOAWAY, 0, 0, Buffer.alloc(7)), FRAME_SIZE_ERROR],
    ['a push', frameBytes(Type.PUSH_PROMISE, Flag.END_HEADERS, 1, Buffer.concat([uint32(2), HEAD])), PROTOCOL_ERROR],
    ['a WINDOW_UPDATE of nothing', frameBytes(Type.WINDOW_UPDATE, 0, 0, uint32(0)), PROTOCOL_ERROR],
    ['a WINDOW_UPDATE of three bytes', frameBytes(Type.WINDOW_UPDATE, 0, 0, Buffer.alloc(3)), FRAME_SIZE_ERROR],
    ['a WINDOW_UPDATE beyond all windows', frameBytes(Type.WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 1)), FLOW_CONTROL_ERROR],
    ['a WINDOW_UPDATE of an idle stream', frameBytes(Type.WINDOW_UPDATE, 0, 9, uint32(1)), PROTOCOL_ERROR],
    ['a RST_STREAM of an idle stream', frameBytes(Type.RST_STREAM, 0, 9, uint32(8)), PROTOCOL_ERROR],
    ['a RST_STREAM of no stream', frameBytes(Type.RST_STREAM, 0, 0, uint32(8)), PROTOCOL_ERROR],
    ['a RST_STREAM of three bytes', frameBytes(Type.RST_STREAM, 0, 1, Buffer.alloc(3)), FRAME_SIZE_ERROR],
    ['DATA of an idle stream', frameBytes(Type.DATA, 0, 9, Buffer.from('x')), PROTOCOL_ERROR],
    ['DATA of no stream', frameBytes(Type.DATA, 0, 0, Buffer.from('x')), PROTOCOL_ERROR],
    ['DATA that is padding beyond its end', frameBytes(Type.DATA, Flag.PADDED, 1, Buffer.from([9, 0])), PROTOCOL_ERROR],
    ['HEADERS of no stream', frameBytes(Type.HEADERS, Flag.END_HEADERS, 0, HEAD), PROTOCOL_ERROR],
    ['HEADERS of an even stream', frameBytes(Type.HEADERS, Flag.END_HEADERS, 4, HEAD), PROTOCOL_ERROR],
    ['HEADERS that are padding beyond their end', frameBytes(Type.HEADERS, Flag.PADDED | 4, 3, Buffer.from([200, 0])), PROTOCOL_ERROR],
    ['HEADERS too short for a priority', frameBytes(Type.HEADERS, Flag.PRIORITY | 4, 3, Buffer.alloc(4)), FRAME_SIZE_ERROR],
    ['HEADERS that are no HPACK', frameBytes(Type.HEADERS, Flag.END_HEADERS, 3, Buffer.from([0xbe])), COMPRESSION_ERROR],
    ['CONTINUATION of nothing', frameBytes(Type.CONTINUATION, Flag.END_HEADERS, 1, HEAD), PROTOCOL_ERROR],
    [
      'a frame within a head',
      Buffer.concat([frameBytes(Type.HEADERS, 0, 3, HEAD), frameBytes(Type.PING, 0, 0, Buffer.alloc(8))]),
      PROTOCOL_ERROR,
    ],
    ['DATA within a head', Buffer.concat([frameBytes(Type.HEADERS, 0, 3, HEAD), frameBytes(Type.DATA, 0, 1)]), PROTOCOL_ERROR],
    [
      'CONTINUATION of another stream',
      Buffer.concat([frameBytes(Type.HEADERS, 0, 3, HEAD), frameBytes(Type.CONTINUATION, 4, 5)]),
      PROTOCOL_ERROR,
    ],
    ['PRIORITY of no stream', frameBytes(Type.PRIORITY, 0, 0, Buffer.alloc(5)), PROTOCOL_ERROR],
    ['a frame larger than agreed on', frameBytes(0xee, 0, 1, Buffer.alloc(16_385)), FRAME_SIZE_ERROR],
  ])('by %s', async (_what, frame, code) => {
    const { port } = await startLoneNode({ routes: { 'app.test': {} } });
    const client = await FramePeer.client(port);
    client.headers(1, requestBlock({ ':method': 'POST' }));
    client.raw.send(frame);
    expect(await goAwayOf(client)).toBe(code);
    await client.raw.ended();
  });

  test('when its first frame is no SETTINGS', async () => {
    const { port } = await startLoneNode();
    const raw = await connectClient(port);
    raw.send(Buffer.concat([PREFACE, frameBytes(Type.PING, 0, 0, Buffer.alloc(8))]));
    expect(await goAwayOf(new FramePeer(raw))).toBe(PROTOCOL_ERROR);
  });
});

test('a client without a header table is answered, request after request', async () => {
  const app = await ScriptedApp.serving(({ startLine }) => ok(startLine));
  const { port } = await startServedNode(app.port);
  const session = connectHttp2(`http://127.0.0.1:${port}`, { settings: { headerTableSize: 0 } });
  for (let i = 0; i < 3; i++) {
    const stream = session.request({ ':authority': 'app.test', ':path': `/${i}` });
    let text = '';
    for await (const piece of stream.setEncoding('latin1')) text += piece;
    expect(text).toBe(`GET /${i} HTTP/1.1`);
  }
});

test('large responses to many streams of one connection take turns', async () => {
  const app = await ScriptedApp.serving(() => ok(Buffer.alloc(300_000, 'x')));
  const { port } = await startServedNode(app.port, { concurrency: 4 });
  const client = await FramePeer.client(port, settings([4, 1_000_000]));
  for (const id of [1, 3, 5, 7]) client.headers(id, requestBlock(), true);
  for (const id of [1, 3, 5, 7]) await client.until(Type.HEADERS, id);
  client.open(2_000_000);
  const counts = (): number[] => [1, 3, 5, 7].map((id) => client.contentOf(id).length);
  while (![1, 3, 5, 7].some((id) => client.hasEnded(id))) await client.next();
  // None is done before the others have got a good part.
  for (const count of counts()) expect(count).toBeGreaterThan(50_000);
  while (![1, 3, 5, 7].every((id) => client.hasEnded(id))) await client.next();
  expect(counts()).toEqual([300_000, 300_000, 300_000, 300_000]);
});

/** Takes what is written, and is given bytes by the test. */
class FakeSocket extends Duplex {
  readonly written: Buffer[] = [];

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.written.push(Buffer.from(bytes));
    done();
  }

  destroySoon(): void {
    this.end();
  }
}

async function played(pieces: readonly Buffer[]): Promise<{ said: Buffer; opened: unknown[]; failed: number }> {
  const socket = new FakeSocket();
  const opened: unknown[] = [];
  let failed = 0;
  const domain = { where: 'client', fail: () => void failed++ } as const;
  const open = ({ stream, fields, ended, fault }: OpenedRequest): void => void opened.push([stream.id, fields, ended, fault]);
  new ClientWire(socket as unknown as Socket, LIMITS, new WindowBudget(1_000_000), domain, open);
  for (const piece of pieces) socket.emit('data', piece);
  await turn();
  socket.destroy();
  return { said: Buffer.concat(socket.written), opened, failed };
}

test('whatever frames come, none throws, and how they are cut makes no difference to what is said', async () => {
  const frames = fc.array(
    fc.record({
      type: fc.oneof({ weight: 5, arbitrary: fc.integer({ min: 0, max: 9 }) }, fc.integer({ min: 0, max: 255 })),
      flags: fc.oneof(fc.constantFrom(0, 1, 4, 5, 8, 13, 37), fc.integer({ min: 0, max: 255 })),
      stream: fc.oneof({ weight: 5, arbitrary: fc.integer({ min: 0, max: 9 }) }, fc.integer({ min: 0, max: 2 ** 31 - 1 })),
      payload: fc.oneof(
        fc.uint8Array({ maxLength: 30 }),
        fc.constantFrom(HEAD, requestBlock({ ':method': 'POST' }), block([['x-sum', '1']]), settings([4, 5]), uint32(1)),
      ),
    }),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(frames, fc.integer({ min: 1, max: 12 }), async (sequence, pieceBytes) => {
      const bytes = Buffer.concat([
        PREFACE,
        frameBytes(Type.SETTINGS, 0, 0),
        ...sequence.map(({ type, flags, stream, payload }) => frameBytes(type, flags, stream, Buffer.from(payload))),
      ]);
      const cut = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, i) =>
        bytes.subarray(i * pieceBytes, (i + 1) * pieceBytes),
      );
      const [whole, pieces] = [await played([bytes]), await played(cut)];
      expect([pieces.said.toString('hex'), whole.failed, pieces.failed]).toEqual([whole.said.toString('hex'), 0, 0]);
      // What is reset in the bytes that opened it begins nowhere.
      expect(pieces.opened).toEqual(expect.arrayContaining(whole.opened));
    }),
    { numRuns: 500 },
  );
});
