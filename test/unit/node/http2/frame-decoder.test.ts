import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FrameDecoder, type FrameSink } from '../../../../src/node/http2/frame-decoder.ts';
import { Flag, frameBytes, Type } from '../../../support/http2-frames.ts';

/** Notes what it is told; pieces of one frame's content are put together. */
class Notes implements FrameSink {
  readonly said: string[] = [];
  code: number | null = null;
  #content = '';

  frame(type: number, flags: number, stream: number, payload: Buffer): void {
    this.said.push(`${type} ${flags} ${stream} ${payload.toString('latin1')}`);
  }

  dataBegins(stream: number, bytes: number, content: number): void {
    this.#content = `data ${stream} ${bytes} ${content} `;
  }

  data(piece: Buffer): void {
    this.#content += piece.toString('latin1');
  }

  dataEnds(_stream: number, endsStream: boolean): void {
    this.said.push(`${this.#content} ${endsStream}`);
  }

  broken(code: number): void {
    this.code = code;
  }
}

function read(bytes: Buffer, pieceBytes = bytes.length): Notes {
  const notes = new Notes();
  const decoder = new FrameDecoder(notes);
  for (let at = 0; at < bytes.length; at += pieceBytes) decoder.take(bytes.subarray(at, at + pieceBytes));
  return notes;
}

const FRAMES = Buffer.concat([
  frameBytes(Type.SETTINGS, 0, 0),
  frameBytes(Type.HEADERS, Flag.END_HEADERS, 1, Buffer.from('a block')),
  frameBytes(Type.DATA, 0, 1, Buffer.from('some content')),
  frameBytes(Type.DATA, Flag.PADDED, 1, Buffer.from('\x03padded...')),
  frameBytes(Type.DATA, Flag.PADDED, 1, Buffer.from('\x03...')),
  frameBytes(Type.DATA, Flag.PADDED | Flag.END_STREAM, 1, Buffer.from([0])),
  frameBytes(Type.DATA, Flag.END_STREAM, 3),
  frameBytes(99, 7, 5, Buffer.alloc(300, 'x')),
]);

describe('frames', () => {
  test.each([1, 2, 5, 9, 10, 10_000])('are the same in pieces of %i bytes', (pieceBytes) => {
    expect(read(FRAMES, pieceBytes).said).toEqual([
      '4 0 0 ',
      '1 4 1 a block',
      'data 1 12 12 some content false',
      'data 1 10 6 padded false',
      'data 1 4 0  false',
      'data 1 1 0  true',
      'data 3 0 0  true',
      `99 7 5 ${'x'.repeat(300)}`,
    ]);
  });

  test.each([
    ['larger than agreed on', Buffer.from('004001 04 00 00000000'.replaceAll(' ', ''), 'hex'), 6],
    ['padded without a byte that says so', frameBytes(Type.DATA, Flag.PADDED, 1), 6],
    ['padded beyond its end', frameBytes(Type.DATA, Flag.PADDED, 1, Buffer.from([2, 0])), 1],
  ])('that are %s break the connection, and nothing behind them is looked at', (_what, bytes, code) => {
    const notes = read(Buffer.concat([bytes, FRAMES]));
    expect([notes.said, notes.code]).toEqual([[], code]);
  });

  test('any bytes are read to their end, in whatever pieces, with the same result', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 9 }), (bytes, pieceBytes) => {
        // Few are larger than agreed on.
        for (let at = 0; at < bytes.length; at += 9) bytes[at] = 0;
        const [whole, cut] = [read(Buffer.from(bytes)), read(Buffer.from(bytes), pieceBytes)];
        expect([cut.said, cut.code]).toEqual([whole.said, whole.code]);
      }),
      { numRuns: 2_000 },
    );
  });
});
