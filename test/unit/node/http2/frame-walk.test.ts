import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type FrameReader, FrameType, FrameWalk, wordFrame } from '../../../../src/node/http2/frame-walk.ts';
import { frame } from '../../../support/http2-client.ts';

/** Passes what `passes` lets, and writes down what it saw. */
function recorder(passes: (type: number) => boolean = () => true): FrameReader & { readonly seen: string[] } {
  const seen: string[] = [];
  let payload = '';
  return {
    seen,
    frame: (type, flags, stream, length, word) => {
      seen.push(`${type} ${flags} ${stream} ${length} ${word}`);
      payload = '';
      return passes(type);
    },
    payload: (_type, bytes, from, to) => {
      payload += bytes.toString('latin1', from, to);
    },
    ended: () => {
      seen.push(payload);
    },
  };
}

const FRAMES = [
  frame(FrameType.SETTINGS, 0, 0),
  frame(FrameType.DATA, 0, 1, Buffer.from('hello')),
  frame(FrameType.DATA, 8, 1, Buffer.from('\x03abc\0\0\0', 'latin1')),
  frame(FrameType.WINDOW_UPDATE, 0, 3, Buffer.from([0, 0, 1, 0])),
  frame(FrameType.PING, 0, 0, Buffer.alloc(8)),
  frame(FrameType.DATA, 8, 1),
];

function cut(bytes: Buffer, pieceBytes: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, i) => bytes.subarray(i * pieceBytes, (i + 1) * pieceBytes));
}

describe('frames', () => {
  test.each([1, 2, 5, 9, 10, 1_000])('are seen, and passed on, however they come: in pieces of %i bytes', (pieceBytes) => {
    const reader = recorder();
    const walk = new FrameWalk(reader, 4);
    const bytes = Buffer.concat([Buffer.from('pref'), ...FRAMES]);
    expect(Buffer.concat(cut(bytes, pieceBytes).flatMap((piece) => walk.take(piece)))).toEqual(bytes);
    expect(reader.seen).toEqual([
      '4 0 0 0 0',
      '',
      '0 0 1 5 0',
      'hello',
      '0 8 1 7 4',
      'abc\0\0\0',
      '8 0 3 4 256',
      '',
      '6 0 0 8 0',
      '\0'.repeat(8),
      '0 8 1 0 0',
      '',
    ]);
    expect(walk.between).toBe(true);
  });

  test.each([1, 3, 9, 13, 1_000])('that do not pass are left out, others put before them, in pieces of %i bytes', (pieceBytes) => {
    const inserted = wordFrame(FrameType.RST_STREAM, 5, 7);
    const walk: FrameWalk = new FrameWalk(
      recorder((type) => {
        if (type === FrameType.DATA) walk.insert(inserted);
        return type !== FrameType.WINDOW_UPDATE && type !== FrameType.PING;
      }),
      0,
    );
    const [settings, data, padded, , , empty] = FRAMES as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer];
    const expected = Buffer.concat([settings, inserted, data, inserted, padded, inserted, empty]);
    expect(Buffer.concat(cut(Buffer.concat(FRAMES), pieceBytes).flatMap((piece) => walk.take(piece)))).toEqual(expected);
  });

  test('any bytes pass unchanged', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.integer({ min: 1, max: 20 }), (bytes, pieceBytes) => {
        const walk = new FrameWalk(recorder(), 0);
        const all = Buffer.from(bytes);
        const passed = Buffer.concat(cut(all, pieceBytes).flatMap((piece) => walk.take(piece)));
        // A head that is not whole is kept back.
        expect(all.subarray(0, passed.length)).toEqual(passed);
        expect(all.length - passed.length).toBeLessThan(13);
      }),
      { numRuns: 1_000 },
    );
  });
});
