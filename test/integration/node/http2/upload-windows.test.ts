import { afterEach, describe, expect, test } from '@jest/globals';
import { FIRST_WINDOW_BYTES, UploadWindow, WindowBudget } from '../../../../src/node/http2/upload-windows.ts';
import { eventually } from '../../../support/eventually.ts';
import { FrameTalk } from '../../../support/frame-talk.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode, startServedNode } from '../../../support/harness/lone-node.ts';
import { ok, ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { literals } from '../../../support/http2-client.ts';

const MIB = 1_048_576;
const END_STREAM = 1;
const PIECE = Buffer.alloc(16_384);
const POST = literals({ ':method': 'POST', ':scheme': 'http', ':path': '/', ':authority': 'app.test' });

afterEach(closeEverything);

/** Sends what the windows allow until `bytes` were sent, or it may send no more. Returns how much that was. */
async function upload(talk: FrameTalk, stream: number, bytes: number): Promise<number> {
  let sent = 0;
  // The connection's window is told first.
  await eventually('the window of the connection', () => talk.of(0).credit > 0);
  while (sent < bytes) {
    const credit = (): number => FIRST_WINDOW_BYTES + talk.of(stream).credit - sent;
    await eventually('more credit', () => credit() > 0 || talk.of(stream).reset !== null, 2_000).catch(() => {});
    const size = Math.min(PIECE.length, credit(), bytes - sent);
    if (size <= 0 || talk.of(stream).reset !== null) return sent;
    talk.data(stream, PIECE.subarray(0, size));
    sent += size;
  }
  return sent;
}

describe('a window', () => {
  test('grows while what comes is taken quickly, up to its limit', () => {
    const window = new UploadWindow(new WindowBudget(1_024 * MIB), 0);
    expect(window.received(40_000)).toBe(true);
    // Not before a half of it is free.
    expect(window.renew(30_000, 10)).toBe(0);
    expect(window.renew(0, 10)).toBe(16 * 65_535 - (65_535 - 40_000));
    for (let now = 20; now < 100; now += 10) {
      window.received(700_000);
      window.renew(0, now);
    }
    window.received(16 * MIB);
    expect(window.received(1)).toBe(false);
  });

  test('does not grow where the application, not the window, is slow', () => {
    const window = new UploadWindow(new WindowBudget(1_024 * MIB), 0);
    window.received(65_535);
    expect(window.renew(0, 2_000)).toBe(65_535);
  });

  test('takes no more than its share of what is left, and gives it back', () => {
    const budget = new WindowBudget(8 * MIB);
    const windows = Array.from({ length: 100 }, () => new UploadWindow(budget, 0));
    const granted = windows.map((window) => {
      window.received(65_535);
      return window.renew(0, 10);
    });
    expect(granted[0]).toBeGreaterThan(900_000);
    expect(granted.reduce((sum, bytes) => sum + bytes - 65_535, 0)).toBeLessThanOrEqual(8 * MIB);
    for (const window of windows) window.release();
    expect(budget.reserve(100 * MIB)).toBe(MIB);
  });
});

describe('an upload', () => {
  test('is given a large window when the application takes what comes', async () => {
    const app = await ScriptedApp.serving(({ body }) => ok(String(body.length)));
    const { port } = await startServedNode(app.port);
    const talk = await FrameTalk.connect(port);
    talk.headers(1, POST, 0);
    expect(await upload(talk, 1, 4 * MIB)).toBe(4 * MIB);
    expect(talk.of(1).credit).toBeGreaterThan(12 * MIB);
    talk.data(1, '', END_STREAM);
    expect(await talk.end(1)).toMatchObject({ status: 200 });
  });

  test('is not given more before it has a slot', async () => {
    const { port, backendPort } = await startLoneNode({ routes: { 'app.test': {} } });
    const talk = await FrameTalk.connect(port);
    talk.headers(1, POST, 0);
    expect(await upload(talk, 1, MIB)).toBe(FIRST_WINDOW_BYTES);
    expect(talk.of(1).credit).toBe(0);
    const app = await ScriptedApp.serving(({ body }) => ok(String(body.length)));
    await FakeLinker.dial({ backendPort, appPort: app.port, route: 'app.test' });
    await eventually('it is given more', () => talk.of(1).credit > 0);
  });

  test('that the application does not read ends at its window', async () => {
    const app = await ScriptedApp.listen((connection) => connection.pause());
    const { port } = await startServedNode(app.port);
    const talk = await FrameTalk.connect(port);
    talk.headers(1, POST, 0);
    expect(await upload(talk, 1, 64 * MIB)).toBeLessThan(40 * MIB);
  });

  test.each([0, 64 * 1_024])('goes on with the window that it has, with %i bytes for all to grow', async (http2WindowBytesMax) => {
    const app = await ScriptedApp.serving(({ body }) => ok(String(body.length)));
    const { port } = await startServedNode(app.port, { http2WindowBytesMax });
    const talk = await FrameTalk.connect(port);
    talk.headers(1, POST, 0);
    expect(await upload(talk, 1, MIB)).toBe(MIB);
    expect(talk.of(1).credit).toBeLessThanOrEqual(MIB + FIRST_WINDOW_BYTES + http2WindowBytesMax);
    talk.data(1, '', END_STREAM);
    expect(await talk.end(1)).toMatchObject({ status: 200 });
  });

  test('gives back what its window had, however it ends', async () => {
    const app = await ScriptedApp.serving(({ body }) => ok(String(body.length)));
    const { port, node } = await startServedNode(app.port, { http2WindowBytesMax: 8 * MIB });
    for (const end of ['complete', 'reset', 'broken'] as const) {
      const talk = await FrameTalk.connect(port);
      talk.headers(1, POST, 0);
      expect(await upload(talk, 1, MIB)).toBe(MIB);
      if (end === 'complete') talk.data(1, '', END_STREAM);
      else if (end === 'reset') talk.reset(1);
      else talk.client.reset();
      await eventually('it is over', () => node.active === 0);
    }
    // A share of all that there is.
    expect(node.frontDoor.windows.reserve(8 * MIB)).toBe(MIB);
  });
});

test('what is on its way to many uploads that were refused harms nobody', async () => {
  const streams = 100;
  const { port } = await startLoneNode({ routes: { 'app.test': { maxHeld: 0 } } });
  const talk = await FrameTalk.connect(port);
  const ids = Array.from({ length: streams }, (_, i) => 2 * i + 1);
  for (const id of ids) talk.headers(id, POST, 0);
  for (let i = 0; i < 3; i++) for (const id of ids) talk.data(id, PIECE);
  for (const id of ids) expect(await talk.end(id)).toMatchObject({ complete: true });
  for (let i = 0; i < 3; i++) for (const id of ids) talk.data(id, 'more');
  for (const id of ids) talk.data(id, '', END_STREAM);
  talk.headers(2 * streams + 1, literals({ ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'none.test' }));
  expect(await talk.end(2 * streams + 1)).toMatchObject({ status: 404 });
  expect(talk.goAway).toBe(null);
});
