/** Clients that ask and never let the answer come: nothing of it lies here beyond the stall timeout. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { block, Flag, requestBlock, settings, Type } from '../../../support/http2-frames.ts';
import { FramePeer } from '../../../support/http2-peer.ts';

afterEach(closeEverything);

const STREAMS = 10;
const STALL_MS = 300;
const NO_WINDOW = settings([4, 0]);
const OK = block([[':status', '200']]);

type Protocol = 'http1' | 'h2c';

async function served(protocol: Protocol, bytes: number) {
  const app = await ScriptedApp.listen(async (connection) => {
    if (protocol === 'http1') {
      for (;;) {
        await connection.request();
        connection.send(ok(Buffer.alloc(bytes)));
      }
    }
    const application = await FramePeer.application(connection);
    for (;;) {
      const { stream } = await application.until(Type.HEADERS);
      application.headers(stream, OK);
      for (let left = bytes; left > 0; left -= 16_384) application.data(stream, Buffer.alloc(Math.min(left, 16_384)), left <= 16_384);
    }
  });
  const lone = await startLoneNode({ routes: { 'app.test': { protocol } }, stallTimeoutMs: STALL_MS, bodyGraceMs: STALL_MS });
  await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, route: 'app.test', concurrency: STREAMS });
  return lone;
}

describe.each(['http1', 'h2c'] as const)('of an application (%s)', (protocol) => {
  test.each([1, 10_000, 60_000])('answers of %d bytes that their client never lets come are given up', async (bytes) => {
    const { port, node } = await served(protocol, bytes);
    const client = await FramePeer.client(port, NO_WINDOW);
    for (let i = 0; i < STREAMS; i++) client.headers(2 * i + 1, requestBlock(), true);
    const reset = new Set<number>();
    while (reset.size < STREAMS) {
      const { type, stream, payload, flags } = await client.next();
      if (type === Type.RST_STREAM) reset.add(stream);
      if (type === Type.GOAWAY) throw new Error(`GOAWAY ${payload.readUInt32BE(4)}`);
      expect([type === Type.DATA, type === Type.HEADERS && (flags & Flag.END_STREAM) !== 0]).toEqual([false, false]);
    }
    await eventually('all slots are idle', () => node.active === 0 && node.held === 0);
    await client.judged();
  });
});

test('a response that comes a byte at a time, slower than the least rate, is not its client’s fault', async () => {
  const app = await ScriptedApp.listen(async (connection) => {
    await connection.request();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n');
    for (let i = 0; i < 40; i++) {
      await delay(50);
      connection.send('x');
    }
  });
  const lone = await startLoneNode({ stallTimeoutMs: STALL_MS, bodyGraceMs: STALL_MS });
  await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port });
  const client = await FramePeer.client(lone.port);
  client.headers(1, requestBlock(), true);
  expect(await client.endOf(1)).toBe('end');
  expect(client.contentOf(1)).toHaveLength(40);
});
