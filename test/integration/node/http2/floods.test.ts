/** Frames without end that carry nothing: they end their sender's connection, whoever that is, and nothing else. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { internalErrors } from '../../../../src/boundary.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeLinker } from '../../../support/harness/fake-linker.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';
import { ScriptedApp } from '../../../support/harness/scripted-app.ts';
import { block, Flag, frameBytes, requestBlock, settings, Type, uint32 } from '../../../support/http2-frames.ts';
import { FramePeer } from '../../../support/http2-peer.ts';

const OK = block([[':status', '200']]);
const FRAMES_MAX = 100_000;
const FRAMES_AT_ONCE = 500;

const EMPTY_PADDED = Buffer.concat([Buffer.from([200]), Buffer.alloc(200)]);
/** A field that the table has, so that no block is large. */
const INTERIM = frameBytes(Type.HEADERS, Flag.END_HEADERS, 1, block([[':status', '103']]));

/** On stream 1, which is open. */
const FLOODS: Readonly<Record<string, Buffer>> = {
  PING: frameBytes(Type.PING, 0, 0, Buffer.alloc(8)),
  'PING ACK': frameBytes(Type.PING, Flag.ACK, 0, Buffer.alloc(8)),
  'empty SETTINGS': frameBytes(Type.SETTINGS, 0, 0),
  'SETTINGS of a window': frameBytes(Type.SETTINGS, 0, 0, settings([4, 65_535])),
  'SETTINGS of a table': frameBytes(Type.SETTINGS, 0, 0, settings([1, 0])),
  'WINDOW_UPDATE of the connection': frameBytes(Type.WINDOW_UPDATE, 0, 0, uint32(1)),
  'WINDOW_UPDATE of a stream': frameBytes(Type.WINDOW_UPDATE, 0, 1, uint32(1)),
  'WINDOW_UPDATE of a closed stream': frameBytes(Type.WINDOW_UPDATE, 0, 1, uint32(1)),
  PRIORITY: frameBytes(Type.PRIORITY, 0, 1, Buffer.from([0, 0, 0, 0, 16])),
  PRIORITY_UPDATE: frameBytes(Type.PRIORITY_UPDATE, 0, 0, Buffer.concat([uint32(1), Buffer.from('u=1')])),
  ALTSVC: frameBytes(Type.ALTSVC, 0, 1, Buffer.from('\0\0h2=":1"', 'latin1')),
  ORIGIN: frameBytes(Type.ORIGIN, 0, 0, Buffer.from('\0\x10https://app.test', 'latin1')),
  'unknown frames': frameBytes(0xee, 0xff, 1, Buffer.alloc(20)),
  'RST_STREAM of a closed stream': frameBytes(Type.RST_STREAM, 0, 1, uint32(8)),
  'empty DATA': frameBytes(Type.DATA, 0, 1),
  'DATA of a closed stream': frameBytes(Type.DATA, 0, 1, Buffer.alloc(10)),
  'DATA that is padding': frameBytes(Type.DATA, Flag.PADDED, 1, EMPTY_PADDED),
};

const OF_APPLICATIONS: Readonly<Record<string, Buffer>> = {
  ...FLOODS,
  'interim answers': INTERIM,
  GOAWAY: frameBytes(Type.GOAWAY, 0, 0, Buffer.concat([uint32(1), uint32(0)])),
  PUSH_PROMISE: frameBytes(Type.PUSH_PROMISE, Flag.END_HEADERS, 1, Buffer.concat([uint32(2), requestBlock()])),
  'an endless head': frameBytes(Type.CONTINUATION, 0, 1),
};

let errorsBefore: number;

beforeEach(() => {
  errorsBefore = internalErrorCount();
});

afterEach(async () => {
  await closeEverything();
  expect(internalErrorCount()).toBe(errorsBefore);
});

function internalErrorCount(): number {
  return Object.values(internalErrors()).reduce((sum, { count }) => sum + count, 0);
}

/** Sends until the other side has had enough. Returns how many frames that were. */
async function flood({ raw }: FramePeer, frame: Buffer): Promise<number> {
  const piece = Buffer.concat(Array.from({ length: FRAMES_AT_ONCE }, () => frame));
  let frames = 0;
  raw.discards = true;
  for (; frames < FRAMES_MAX && raw.ending === null; frames += FRAMES_AT_ONCE) {
    if (raw.send(piece)) await new Promise((resolve) => setImmediate(resolve));
    else await Promise.race([new Promise((resolve) => raw.socket.once('drain', resolve)), raw.ended()]);
  }
  return frames;
}

async function playing() {
  const app = await ScriptedApp.listen();
  const lone = await startLoneNode({ routes: { 'app.test': { protocol: 'h2c' } } });
  const linker = await FakeLinker.dial({ backendPort: lone.backendPort, appPort: app.port, route: 'app.test', concurrency: 1 });
  const client = await FramePeer.client(lone.port);
  client.headers(1, requestBlock({ ':method': 'POST' }));
  const application = await FramePeer.application(await app.next());
  await application.until(Type.HEADERS);
  return { ...lone, app, linker, client, application };
}

/** The slot serves the next one, and the linker's link is the same. */
async function isServedAfter({ app, linker, client }: Awaited<ReturnType<typeof playing>>): Promise<void> {
  client.headers(3, requestBlock(), true);
  const application = await FramePeer.application(await app.next());
  const { stream } = await application.until(Type.HEADERS);
  application.headers(stream, OK, true);
  expect(await client.endOf(3)).toBe('end');
  expect(linker.downReason).toBeNull();
}

describe('an application of HTTP/2 that sends without end', () => {
  test.each(Object.entries(OF_APPLICATIONS))('%s before its response has its connection ended', async (what, frame) => {
    const all = await playing();
    const { application, client, node } = all;
    if (what === 'RST_STREAM of a closed stream' || what.startsWith('DATA that') || what.startsWith('empty DATA'))
      application.headers(1, OK);
    if (what.includes('closed stream')) application.reset(1, 8);
    if (what === 'an endless head') application.send(Type.HEADERS, 0, 1, OK);
    expect(await flood(application, frame)).toBeLessThan(FRAMES_MAX);
    await application.raw.ended();
    const end = await client.endOf(1);
    if (end === 'end') expect(client.contentOf(1).toString()).toContain('502 Bad Gateway');
    await eventually('the slot is idle', () => node.active === 0);
    await isServedAfter(all);
  });

  test.each(Object.entries(OF_APPLICATIONS).filter(([what]) => what !== 'an endless head'))(
    '%s while nobody uses it has its connection ended',
    async (_what, frame) => {
      const all = await playing();
      const { application, client, node } = all;
      client.data(1, '', true);
      await application.endOf(1);
      application.headers(1, OK, true);
      expect(await client.endOf(1)).toBe('end');
      await eventually('the slot is idle', () => node.active === 0);
      expect(await flood(application, frame)).toBeLessThan(FRAMES_MAX);
      await application.raw.ended();
      await isServedAfter(all);
    },
  );
});

describe('a client of HTTP/2 that sends without end', () => {
  test.each(Object.entries(FLOODS))('%s is sent away', async (what, frame) => {
    const all = await playing();
    const { port, client, node } = all;
    if (what.includes('closed stream')) client.reset(1, 8);
    expect(await flood(client, frame)).toBeLessThan(FRAMES_MAX);
    await client.raw.ended();
    await eventually('the slot is idle', () => node.active === 0 && node.held === 0);
    await isServedAfter({ ...all, client: await FramePeer.client(port) });
  });
});
