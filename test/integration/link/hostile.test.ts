import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Flag, Frame, ResetCode } from '../../../src/link/frames.ts';
import { newNonce } from '../../../src/link/proof.ts';
import {
  HELLO,
  type LinkerEnd,
  linkerAndRawNode,
  linkPair,
  type NodeEnd,
  nodeAndRawLinker,
  Recorder,
  shakeAsNode,
} from '../../support/harness/link-pair.ts';
import { destroySockets, frameBytes, headBytes, RawPeer, socketPair, u32, until } from '../../support/harness/link-wire.ts';
import { accept, dial, type Outcome } from '../../support/harness/outcome.ts';

const RUNS = 60;

/** A link of other peers in the same process: it must not notice anything. */
let witness: { node: NodeEnd; linker: LinkerEnd };

beforeEach(async () => {
  witness = await linkPair();
});
afterEach(destroySockets);

async function witnessGoesOn(): Promise<void> {
  const reports = witness.node.said.length;
  witness.linker.link.report({ home: true, state: 'ready', active: 0 });
  await until(() => witness.node.said.length > reports);
  expect([...witness.node.downs, ...witness.linker.downs]).toEqual([]);
}

const strangeJson = fc.oneof(
  fc.json({ maxDepth: 3 }),
  fc
    .record(
      {
        v: fc.constantFrom<unknown>(1, 2, null, { toString: 1 }),
        reason: fc.jsonValue(),
        node: fc.jsonValue(),
        nonce: fc.jsonValue(),
        proofs: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value)),
  fc
    .record(
      {
        v: fc.constantFrom(1, 2),
        route: fc.constantFrom<unknown>('app.example.com', {}, '', '*'),
        instance: fc.jsonValue(),
        proof: fc.jsonValue(),
        state: fc.jsonValue(),
        home: fc.boolean(),
      },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value)),
  fc.constant('['.repeat(2_000)),
);
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom(0, 1, 4, 8, 0x7fffffff, 0xffffffff).map(u32),
  strangeJson.map((text) => Buffer.from(text)),
  fc.constant(Buffer.alloc(65_536, 'x')),
);
const frame = fc
  .tuple(fc.nat(31), payload, fc.constantFrom(0, 1, 2, 3, 7, 0xffffffff), fc.nat(7))
  .map(([type, bytes, streamId, flags]) => frameBytes(type, bytes, streamId, flags));
const hostile = fc.oneof(
  { weight: 4, arbitrary: fc.array(frame, { minLength: 1, maxLength: 12 }).map((frames) => Buffer.concat(frames)) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
  // A frame that stops in the middle, and one that claims what it may not have.
  { weight: 1, arbitrary: fc.tuple(frame, fc.nat(10)).map(([bytes, cut]) => bytes.subarray(0, Math.max(1, bytes.length - cut))) },
  { weight: 1, arbitrary: fc.integer({ min: 65_537, max: 0xffffff }).map((length) => headBytes(Frame.DATA, length, 1)) },
);

/** Sends the bytes in two pieces and leaves, politely or not. */
async function attack({ socket }: RawPeer, bytes: Buffer, polite: boolean): Promise<void> {
  const half = bytes.length >> 1;
  socket.write(bytes.subarray(0, half));
  await new Promise(setImmediate);
  if (!socket.destroyed) socket.write(bytes.subarray(half));
  if (polite) socket.end();
  else setImmediate(() => socket.resetAndDestroy());
  await until(() => socket.closed);
}

async function failsWithReason(outcome: Outcome): Promise<void> {
  const reason = await outcome.reason();
  expect(reason.length).toBeGreaterThan(5);
  expect(reason.length).toBeLessThan(400);
  expect(reason).not.toMatch(/^ready/);
}

/** Runs one attack a time and looks at the witness after each. */
async function survives(run: (bytes: Buffer, polite: boolean) => Promise<void>): Promise<void> {
  await fc.assert(
    fc.asyncProperty(hostile, fc.boolean(), async (bytes, polite) => {
      await run(bytes, polite);
      await witnessGoesOn();
    }),
    { numRuns: RUNS },
  );
}

describe('hostile bytes end their own link with a reason and disturb no other', () => {
  test('at a node, instead of a hello', async () => {
    await survives(async (bytes, polite) => {
      const sockets = await socketPair();
      const outcome = accept(sockets);
      await attack(new RawPeer(sockets.dialled), bytes, polite);
      await failsWithReason(outcome);
    });
  });

  test('at a node, instead of a proof', async () => {
    await survives(async (bytes, polite) => {
      const sockets = await socketPair();
      const outcome = accept(sockets);
      const peer = new RawPeer(sockets.dialled);
      peer.sendJson(Frame.HELLO, { v: 2, ...HELLO, nonce: newNonce() });
      await peer.take(Frame.CHALLENGE);
      await attack(peer, bytes, polite);
      await failsWithReason(outcome);
    });
  });

  test('at a linker, instead of a challenge', async () => {
    await survives(async (bytes, polite) => {
      const sockets = await socketPair();
      const outcome = dial(sockets);
      await attack(new RawPeer(sockets.accepted), bytes, polite);
      await failsWithReason(outcome);
    });
  });

  test('at a linker, instead of a welcome', async () => {
    await survives(async (bytes, polite) => {
      const sockets = await socketPair();
      const outcome = dial(sockets);
      const peer = new RawPeer(sockets.accepted);
      await shakeAsNode(peer, { welcome: false });
      await attack(peer, bytes, polite);
      await failsWithReason(outcome);
    });
  });

  test('at a node that has streams open', async () => {
    await survives(async (bytes, polite) => {
      const { node, peer } = await nodeAndRawLinker();
      peer.send(Frame.GRANT, u32(4));
      await until(() => node.link.idle === 4);
      const handlers = [0, 1, 2].map(() => new Recorder());
      const streams = handlers.map((handler) => node.link.open(handler, Flag.NONE, Buffer.from('first bytes')));
      node.link.doneAndClose(streams[1] as (typeof streams)[0]);
      await attack(peer, bytes, polite);
      await until(() => node.downs.length > 0);
      expect(node.downs).toEqual([expect.stringMatching(/.{6}/)]);
      expect(handlers.map((handler) => handler.resets.length)).toEqual([1, 0, 1]);
      expect([node.link.idle, node.link.active]).toEqual([0, 0]);
    });
  });

  test('at a linker that has streams open', async () => {
    await survives(async (bytes, polite) => {
      const { linker, peer } = await linkerAndRawNode();
      linker.link.grant(4);
      await peer.take(Frame.GRANT);
      for (const id of [1, 2, 3]) peer.send(Frame.OPEN, Buffer.from('first bytes'), id);
      peer.send(Frame.RESET, u32(ResetCode.CANCEL), 2);
      await until(() => linker.opened[1]?.handler.resets.length === 1);
      await attack(peer, bytes, polite);
      await until(() => linker.downs.length > 0);
      expect(linker.downs).toEqual([expect.stringMatching(/.{6}/)]);
      // Exactly one end for each: by the link's loss, by a RESET, or by DONE with KEEP.
      for (const { stream, handler } of linker.opened) {
        const kept = linker.done.some((done) => done.stream === stream && done.how !== 'close');
        expect(handler.resets.length + (kept ? 1 : 0)).toBe(1);
      }
      expect([linker.link.lent, linker.link.streams.size]).toEqual([0, 0]);
    });
  });
});
