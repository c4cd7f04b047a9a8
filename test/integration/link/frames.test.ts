import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FRAME_HEAD_BYTES, Frame, FrameReader, PAYLOAD_BYTES_MAX, ResetCode, readResetCode, readU32 } from '../../../src/link/frames.ts';
import { brief, EMPTY, frameBytes, headBytes, type SeenFrame, u32 } from '../../support/harness/link-wire.ts';

const MIB = 1_048_576;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const anyFrame = fc.record({
  type: fc.nat(31),
  flags: fc.nat(7),
  streamId: fc.nat(0xffffffff),
  payload: fc.oneof(
    { weight: 5, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) },
    { weight: 1, arbitrary: fc.constantFrom(4_096, 4_097, PAYLOAD_BYTES_MAX).map((bytes) => Buffer.alloc(bytes, 'x')) },
  ),
});

function read(chunks: Iterable<Buffer>, payloadBytesMax?: number): SeenFrame[] {
  const frames: SeenFrame[] = [];
  const reader = new FrameReader(
    (type, flags, streamId, payload) => (frames.push({ type, flags, streamId, payload }) > 0 ? 'kept' : 'borrowed'),
    payloadBytesMax,
  );
  for (const chunk of chunks) reader.push(chunk);
  return frames;
}

function* cut(bytes: Buffer, sizes: readonly number[]): Iterable<Buffer> {
  let at = 0;
  for (let turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

describe('FrameReader', () => {
  test('gives the same frames however the bytes are split and merged', () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 8 }),
        (frames, sizes) => {
          const bytes = Buffer.concat(frames.map((frame) => frameBytes(frame.type, frame.payload, frame.streamId, frame.flags)));
          expect(read(cut(bytes, sizes)).map(brief)).toEqual(frames.map(brief));
        },
      ),
      { numRuns: 150 },
    );
  });

  test('gives the parts of large data frames as they come, and whole what is small or no data', () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 8 }),
        (frames, sizes) => {
          // Neighbours that have the same stream could not be told apart.
          const sent = frames.map((frame, i) => ({ ...frame, type: i % 2 === 0 ? Frame.DATA : frame.type, flags: 0, streamId: i }));
          const seen: SeenFrame[] = [];
          const reader = new FrameReader((type, flags, streamId, payload) =>
            seen.push({ type, flags, streamId, payload }) > 0 ? 'kept' : 'borrowed',
          );
          reader.passesParts = true;
          for (const chunk of cut(Buffer.concat(sent.map((frame) => frameBytes(frame.type, frame.payload, frame.streamId, 0))), sizes)) {
            reader.push(chunk);
          }
          for (const frame of sent) {
            const parts = seen.filter(({ streamId }) => streamId === frame.streamId);
            if (frame.type !== Frame.DATA || frame.payload.length <= 4_096) expect(parts).toHaveLength(1);
            expect(brief({ ...frame, payload: Buffer.concat(parts.map(({ payload }) => payload)) })).toEqual(brief(frame));
          }
          expect(new Set(seen.map(({ streamId }) => streamId)).size).toBe(sent.length);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('gives the parts of a large data frame without a copy', () => {
    const seen: Buffer[] = [];
    const reader = new FrameReader((_type, _flags, _id, payload) => (seen.push(payload) > 0 ? 'kept' : 'borrowed'));
    reader.passesParts = true;
    const chunks = [...cut(frameBytes(Frame.DATA, Buffer.alloc(60_000, 'x'), 7), [20_000])].map((chunk) => Buffer.from(chunk));
    for (const chunk of chunks) reader.push(chunk);
    expect(seen.map(({ length }) => length)).toEqual([20_000 - FRAME_HEAD_BYTES, 20_000, 20_000, FRAME_HEAD_BYTES]);
    expect(seen.map(({ buffer }) => buffer)).toEqual(chunks.map(({ buffer }) => buffer));
  });

  test('gives the same frames byte by byte', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 4 }), (frames) => {
        const small = frames.map((frame) => ({ ...frame, payload: frame.payload.subarray(0, 50) }));
        const bytes = Buffer.concat(small.map((frame) => frameBytes(frame.type, frame.payload, frame.streamId, frame.flags)));
        expect(read(cut(bytes, [1])).map(brief)).toEqual(small.map(brief));
      }),
    );
  });

  test('takes a payload of exactly the maximum and refuses one byte more as soon as the head says so', () => {
    expect(read([frameBytes(Frame.DATA, Buffer.alloc(PAYLOAD_BYTES_MAX), 1)])).toHaveLength(1);
    expect(() => read([headBytes(Frame.DATA, PAYLOAD_BYTES_MAX + 1)])).toThrow('frame of 65537 bytes, at most 65536 are allowed');
    expect(() => read([headBytes(Frame.DATA, 0xffffff)])).toThrow('frame of 16777215 bytes');
  });

  test('holds a peer to the smaller maximum that it was given', () => {
    expect(read([frameBytes(Frame.HELLO, Buffer.alloc(100))], 100)).toHaveLength(1);
    expect(() => read([headBytes(Frame.HELLO, 101)], 100)).toThrow('at most 100 are allowed');
  });

  test('uses a maximum that changes in the middle of a chunk from the next frame on', () => {
    const seen: number[] = [];
    const reader: FrameReader = new FrameReader((type) => {
      seen.push(type);
      reader.payloadBytesMax = PAYLOAD_BYTES_MAX;
      return 'borrowed';
    }, 10);
    reader.push(Buffer.concat([frameBytes(Frame.WELCOME), frameBytes(Frame.DATA, Buffer.alloc(1_000), 1)]));
    expect(seen).toEqual([Frame.WELCOME, Frame.DATA]);
  });

  test('never throws anything but a protocol error on random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 64 }), (bytes, size) => {
        try {
          read(cut(Buffer.from(bytes), [size]));
        } catch (error) {
          expect((error as Error).name).toBe('LinkProtocolError');
        }
      }),
      { numRuns: 500 },
    );
  });

  test('keeps no memory for payloads that are only claimed', () => {
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 2_000 }, () => new FrameReader(() => 'borrowed'));
    for (const reader of readers) reader.push(Buffer.concat([headBytes(Frame.DATA, PAYLOAD_BYTES_MAX, 1), Buffer.from('x')]));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * MIB);
    expect(readers).toHaveLength(2_000);
  });

  test('copies a payload that trickles in a small number of times, not once a chunk', () => {
    const bytes = frameBytes(Frame.DATA, Buffer.alloc(PAYLOAD_BYTES_MAX), 1);
    const slabs = new Set<ArrayBufferLike>();
    const frames = 20;
    for (let frame = 0; frame < frames; frame++) {
      for (const { payload } of read(cut(bytes, [1]))) slabs.add(payload.buffer);
    }
    // Copying what is there for every byte that comes would be 43 GB: it would not end within the test's time.
    expect(slabs.size).toBe(frames);
  });

  test('holds a trickled frame in a few times its bytes', () => {
    const held = 20;
    const readers = Array.from({ length: held }, () => new FrameReader(() => 'borrowed'));
    const before = heldBytes();
    for (const reader of readers) {
      reader.push(headBytes(Frame.DATA, PAYLOAD_BYTES_MAX, 1));
      // As a socket gives them: each read of one byte is an allocation of its own.
      for (let byte = 1; byte < PAYLOAD_BYTES_MAX; byte++) reader.push(Buffer.allocUnsafeSlow(1));
    }
    expect((heldBytes() - before) / held).toBeLessThan(4 * PAYLOAD_BYTES_MAX);
    expect(readers).toHaveLength(held);
  });
});

describe('numbers in payloads', () => {
  test('are exactly four bytes', () => {
    expect(readU32(u32(0xffffffff))).toBe(0xffffffff);
    expect(() => readU32(EMPTY)).toThrow('a number of 0 bytes');
    expect(() => readU32(Buffer.alloc(FRAME_HEAD_BYTES))).toThrow('a number of 8 bytes');
  });

  test('are a reset code only when a peer may send it', () => {
    expect(readResetCode(u32(ResetCode.CANCEL))).toBe(ResetCode.CANCEL);
    expect(() => readResetCode(u32(ResetCode.LINK_LOST))).toThrow('reset code 4');
    expect(() => readResetCode(u32(77))).toThrow('reset code 77');
  });
});

function heldBytes(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers, external } = process.memoryUsage();
  return heapUsed + arrayBuffers + external;
}
