import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { FrameWriter } from '../../../src/link/frame-writer.ts';
import { Frame, FrameReader } from '../../../src/link/frames.ts';
import { brief, destroySockets, RawPeer, socketPair, until } from '../../support/harness/link-wire.ts';

afterEach(destroySockets);

/** Counts what reaches the kernel: below cork and the stream's own queue. */
function countWrites(socket: Socket): () => number {
  const write = jest.spyOn(socket, '_write');
  const writev = jest.spyOn(socket as Required<Pick<Socket, '_writev'>> & Socket, '_writev');
  return () => write.mock.calls.length + writev.mock.calls.length;
}

describe('FrameWriter', () => {
  test('sends everything queued in one turn in one write, in order', async () => {
    const { dialled, accepted } = await socketPair();
    const peer = new RawPeer(accepted);
    const writes = countWrites(dialled);
    const writer = new FrameWriter(dialled);
    for (let id = 1; id <= 500; id++) {
      writer.frame(Frame.DATA, 0, id, Buffer.from(`payload ${id}`));
      writer.number(Frame.WINDOW, 0, id, id);
    }
    await until(() => peer.frames.length === 1_000);
    expect(writes()).toBe(1);
    expect(peer.frames.map((frame) => frame.streamId)).toEqual(Array.from({ length: 1_000 }, (_, at) => Math.floor(at / 2) + 1));
    expect(peer.frames[998]?.payload.toString()).toBe('payload 500');
  });

  test('makes one frame of small pieces of one stream that follow each other in one turn, and of no others', async () => {
    const { dialled, accepted } = await socketPair();
    const peer = new RawPeer(accepted);
    const writer = new FrameWriter(dialled);
    const data = (id: number, text: string): void => writer.frame(Frame.DATA, 0, id, Buffer.from(text));
    data(1, 'a');
    data(1, 'b');
    data(2, 'c');
    data(1, 'd');
    writer.number(Frame.WINDOW, 0, 1, 7);
    data(1, 'e');
    data(1, 'x'.repeat(4_096));
    writer.flush();
    data(1, 'f');
    await until(() => peer.frames.length === 7);
    const said = peer.frames.map(({ type, streamId, payload }) =>
      type === Frame.DATA ? `${streamId} ${payload.toString().slice(0, 3)}` : type,
    );
    expect(said).toEqual(['1 ab', '2 c', '1 d', Frame.WINDOW, '1 e', '1 xxx', '1 f']);
  });

  test('sends a frame that nobody waits for with the next one, in order, or soon by itself', async () => {
    const { dialled, accepted } = await socketPair();
    const peer = new RawPeer(accepted);
    const writes = countWrites(dialled);
    const writer = new FrameWriter(dialled);
    writer.lazily(Frame.DONE, 1, 1, 7);
    await new Promise((resolve) => setImmediate(resolve));
    expect(writes()).toBe(0);
    writer.frame(Frame.OPEN, 0, 2, null);
    await until(() => peer.frames.length === 2);
    expect(writes()).toBe(1);
    expect(peer.frames.map(({ type }) => type)).toEqual([Frame.DONE, Frame.OPEN]);
    writer.lazily(Frame.DONE, 1, 2, 7);
    await until(() => peer.frames.length === 3);
    expect(writes()).toBe(2);
  });

  test('sends small and large frames of one turn in one write, in order', async () => {
    const { dialled, accepted } = await socketPair();
    const peer = new RawPeer(accepted);
    const writes = countWrites(dialled);
    const writer = new FrameWriter(dialled);
    for (let id = 1; id <= 10; id++) {
      writer.frame(Frame.DATA, 0, id, Buffer.from('small'));
      writer.frame(Frame.DATA, 0, id, Buffer.alloc(60_000, id));
    }
    await until(() => peer.frames.length === 20);
    expect(writes()).toBe(1);
    expect(peer.frames.map((frame) => frame.payload.length)).toEqual(Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? 5 : 60_000)));
    expect(peer.frames[19]?.payload.equals(Buffer.alloc(60_000, 10))).toBe(true);
  });

  test('keeps the order and the content of any mixture, over several turns', async () => {
    const { dialled, accepted } = await socketPair();
    const peer = new RawPeer(accepted);
    const writer = new FrameWriter(dialled);
    const size = fc.oneof(fc.nat(200), fc.constantFrom(0, 4_096, 4_097, 65_535, 65_536));
    const turn = fc.array(fc.tuple(size, fc.nat(31), fc.nat(7), fc.nat(0xffffffff)), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(fc.array(turn, { maxLength: 4 }), async (turns) => {
        peer.frames.length = 0;
        const sent = turns
          .flat()
          .map(([bytes, type, flags, streamId], at) => ({ type, flags, streamId, payload: Buffer.alloc(bytes, at) }));
        let at = 0;
        for (const { length } of turns) {
          for (const frame of sent.slice(at, at + length)) writer.frame(frame.type, frame.flags, frame.streamId, frame.payload);
          at += length;
          await new Promise(setImmediate);
        }
        await until(() => peer.frames.length === sent.length);
        expect(peer.frames.map(brief)).toEqual(sent.map(brief));
      }),
      { numRuns: 50 },
    );
  });

  test('copies payloads: whoever gave them may use their memory again at once', async () => {
    const { dialled, accepted } = await socketPair();
    const peer = new RawPeer(accepted);
    const writer = new FrameWriter(dialled);
    const memory = Buffer.alloc(65_536);
    for (const [at, bytes] of [1, 4_096, 4_097, 65_536].entries()) {
      memory.fill(at);
      writer.frame(Frame.DATA, 0, at, memory.subarray(0, bytes));
    }
    memory.fill('!');
    await until(() => peer.frames.length === 4);
    expect(peer.frames.map(({ streamId, payload }) => payload.equals(Buffer.alloc(payload.length, streamId)))).toEqual([
      true,
      true,
      true,
      true,
    ]);
  });

  test('uses its memory again: a hundred megabytes go through a few arenas', async () => {
    const { dialled, accepted } = await socketPair();
    accepted.resume();
    const arenas = new Set<ArrayBufferLike>();
    const write = jest.spyOn(dialled, 'write');
    const writer = new FrameWriter(dialled);
    const payload = Buffer.alloc(65_536, 'x');
    for (let turn = 0; turn < 500; turn++) {
      for (let id = 1; id <= 4; id++) writer.frame(Frame.DATA, 0, id, payload);
      writer.flush();
      for (const [bytes] of write.mock.calls) arenas.add((bytes as unknown as Buffer).buffer);
      write.mockClear();
      await until(() => writer.backlogBytes === 0);
    }
    expect(accepted.bytesRead).toBeGreaterThan(100_000_000);
    // It would be 1,500 and more.
    expect(arenas.size).toBeLessThan(150);
  });

  test('does not change what still waits in the kernel when more is queued', async () => {
    const { dialled, accepted } = await socketPair();
    const writer = new FrameWriter(dialled);
    const count = 20_000;
    // Nobody reads: this is far more than the kernel takes, in many arenas.
    for (let turn = 0; turn < 10; turn++) {
      for (let id = 0; id < count / 10; id++) writer.frame(Frame.DATA, 0, turn * (count / 10) + id, Buffer.alloc(1_000, id));
      writer.flush();
    }
    expect(writer.backlogBytes).toBeGreaterThan(1_000_000);
    let next = 0;
    const reader = new FrameReader((_type, _flags, streamId, payload) => {
      if (streamId === next && payload.equals(Buffer.alloc(1_000, streamId % (count / 10)))) next++;
      return 'borrowed';
    });
    accepted.on('data', (chunk: Buffer) => reader.push(chunk));
    await until(() => next === count);
    expect(writer.backlogBytes).toBe(0);
  });

  test('sends what was queued before it was closed, and nothing after', async () => {
    const { dialled, accepted } = await socketPair();
    const peer = new RawPeer(accepted);
    const writer = new FrameWriter(dialled);
    writer.frame(Frame.REFUSE, 0, 0, Buffer.from('before'));
    writer.close();
    writer.frame(Frame.REFUSE, 0, 0, Buffer.from('after'));
    await new Promise(setImmediate);
    writer.flush();
    dialled.end();
    await once(accepted, 'end');
    expect(peer.frames.map((frame) => frame.payload.toString())).toEqual(['before']);
  });

  test('does nothing to a socket that is gone', async () => {
    const { dialled } = await socketPair();
    const writer = new FrameWriter(dialled);
    const errors: Error[] = [];
    dialled.on('error', (error) => errors.push(error));
    writer.frame(Frame.PING, 0, 0, null);
    dialled.destroy();
    await once(dialled, 'close');
    writer.frame(Frame.PING, 0, 0, null);
    writer.flush();
    expect(errors).toEqual([]);
  });

  test('costs a connection that has not said much less than 2 KiB', async () => {
    const { dialled } = await socketPair();
    const before = process.memoryUsage().arrayBuffers;
    const writers = Array.from({ length: 1_000 }, () => new FrameWriter(dialled));
    for (const writer of writers) writer.frame(Frame.CHALLENGE, 0, 0, Buffer.alloc(500));
    expect((process.memoryUsage().arrayBuffers - before) / writers.length).toBeLessThan(2_048);
  });
});
