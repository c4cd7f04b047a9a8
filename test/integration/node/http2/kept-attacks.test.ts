/** What an application of HTTP/2 may do between two exchanges of a kept connection: no slot is lost, and nobody waits for ever. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { block, Flag, frameBytes, requestBlock, settings, Type, uint32 } from '../../../support/http2-frames.ts';
import { FramePeer } from '../../../support/http2-peer.ts';
import type { RawSocket } from '../../../support/raw-socket.ts';

afterEach(closeEverything);

const OK = block([[':status', '200']]);

/** Answers every request until its connection ends, and counts those that it has at once. */
class Counting {
  most = 0;
  #now = 0;

  async serve(connection: RawSocket, after: (application: FramePeer) => void): Promise<void> {
    const application = await FramePeer.application(connection);
    for (let first = true; ; first = false) {
      const { stream } = await this.#request(application);
      this.most = Math.max(this.most, ++this.#now);
      application.headers(stream, OK);
      this.#now--;
      application.data(stream, 'ok', true);
      if (first) after(application);
    }
  }

  async #request(application: FramePeer): Promise<{ stream: number }> {
    for (;;) {
      const frame = await application.next();
      if (frame.type === Type.HEADERS) return frame;
    }
  }
}

const AFTER: Readonly<Record<string, (application: FramePeer) => void>> = {
  'closes its half': (application) => application.raw.end(),
  'breaks the connection': (application) => application.raw.reset(),
  'says GOAWAY': (application) => application.goAway(0, 1),
  'says GOAWAY and closes its half': (application) => {
    application.goAway(0, 1);
    application.raw.end();
  },
  'allows no stream': (application) => application.send(Type.SETTINGS, 0, 0, settings([3, 0])),
  'allows no stream, and closes its half': (application) => {
    application.send(Type.SETTINGS, 0, 0, settings([3, 0]));
    application.raw.end();
  },
  'has no header table': (application) => application.send(Type.SETTINGS, 0, 0, settings([1, 0])),
  'has a large header table': (application) => application.send(Type.SETTINGS, 0, 0, settings([1, 0xffff_ffff])),
  'gives no window': (application) => application.send(Type.SETTINGS, 0, 0, settings([4, 0])),
  'takes small heads only': (application) => application.send(Type.SETTINGS, 0, 0, settings([6, 1])),
  'has a window beyond all windows': (application) => application.send(Type.SETTINGS, 0, 0, settings([4, 0xffff_ffff])),
  'has frames of no size': (application) => application.send(Type.SETTINGS, 0, 0, settings([5, 1])),
  'answers once more': (application) => {
    application.headers(1, OK);
    application.data(1, 'again', true);
  },
  'answers what nobody has asked': (application) => application.headers(3, OK, true),
  'resets what nobody has asked': (application) => application.reset(3, 7),
  'speaks HTTP/1.1': (application) => void application.raw.send('HTTP/1.1 200 OK\r\n\r\n'),
  'says half a frame': (application) => void application.raw.send(frameBytes(Type.PING, 0, 0, Buffer.alloc(8)).subarray(0, 12)),
  'says half a head': (application) => application.send(Type.HEADERS, 0, 1, OK),
  'opens the window too far': (application) => application.send(Type.WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 1)),
  pushes: (application) => application.send(Type.PUSH_PROMISE, Flag.END_HEADERS, 1, Buffer.concat([uint32(2), requestBlock()])),
};

describe('an application that between two exchanges', () => {
  test.each(Object.entries(AFTER).flatMap(([what, after]) => ['GET', 'POST'].map((method) => [what, method, after] as const)))(
    '%s serves the next ones (%s), or they are told',
    async (_what, method, after) => {
      const counting = new Counting();
      const app = await ScriptedApp.listen((connection) => counting.serve(connection, after));
      const lone = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } }, headTimeoutMs: 500, stallTimeoutMs: 1_000 });
      const linker = await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, route: 'app.test', concurrency: 1 });
      const client = await FramePeer.client(lone.port);
      for (let id = 1; id < 12; id += 2) {
        client.headers(id, requestBlock({ ':method': method }), method === 'GET');
        if (method === 'POST') client.data(id, 'body', true);
        const end = await client.endOf(id).catch((error: Error) => {
          throw new Error(`request ${id}: ${error.message}`);
        });
        if (end === 'end') expect(client.contentOf(id).toString()).toMatch(/^ok$|502 Bad Gateway/);
        await eventually('the slot is idle', () => lone.node.active === 0);
      }
      expect([counting.most, linker.downReason]).toEqual([1, null]);
      await client.judged();
    },
  );
});

test('an application that allows no stream at all is given up, one that allows them a moment later is served', async () => {
  let connections = 0;
  const app = await ScriptedApp.listen(async (connection) => {
    const application = await FramePeer.application(connection, settings([3, 0]));
    if (++connections < 2) return;
    application.send(Type.SETTINGS, 0, 0, settings([3, 1]));
    const { stream } = await application.until(Type.HEADERS);
    application.headers(stream, OK, true);
  });
  const lone = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } }, headTimeoutMs: 300 });
  await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, route: 'app.test', concurrency: 1 });
  const client = await FramePeer.client(lone.port);
  client.headers(1, requestBlock(), true);
  expect(await client.endOf(1)).toBe('end');
  expect([connections, client.contentOf(1).toString()]).toEqual([2, '']);
  await eventually('the slot is idle', () => lone.node.active === 0);
});
