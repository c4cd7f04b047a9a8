import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Pieces } from '../../../../src/node/http2/pieces.ts';

describe('pieces that wait', () => {
  test('are few, however small they came', () => {
    let pieces = Pieces.NONE;
    for (let i = 0; i < 65_535; i++) pieces = pieces.with(Buffer.from([i & 255]));
    expect([pieces.bytes, pieces.count]).toEqual([65_535, 16]);
  });

  test('are the same bytes in the same order, however they are put in and taken out', () => {
    const step = fc.oneof(
      fc.record({ push: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 500, max: 6_000 })) }),
      fc.record({ drop: fc.integer({ min: 1, max: 700 }) }),
      fc.constant('shift' as const),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        let pieces = Pieces.NONE;
        let [next, bytes] = [0, 0];
        const taken: Buffer[] = [];
        const take = (piece: Buffer | undefined): void => {
          if (piece !== undefined) taken.push(Buffer.from(piece));
          bytes -= piece?.length ?? 0;
        };
        for (const what of steps) {
          if (what === 'shift') take(pieces.shift());
          else if ('push' in what) {
            pieces = pieces.with(Buffer.from(Array.from({ length: what.push }, () => next++ % 251)));
            bytes += what.push;
          } else {
            take(pieces.first?.subarray(0, what.drop));
            pieces.drop(what.drop);
          }
          if (pieces.bytes !== bytes) throw new Error(`${pieces.bytes} bytes instead of ${bytes}`);
        }
        for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) take(piece);
        const expected = Buffer.from(Array.from({ length: next }, (_, at) => at % 251));
        expect([Buffer.concat(taken).equals(expected), bytes, pieces.count]).toEqual([true, 0, 0]);
        expect([Pieces.NONE.bytes, Pieces.NONE.count]).toEqual([0, 0]);
      }),
      { numRuns: 200 },
    );
  });
});
