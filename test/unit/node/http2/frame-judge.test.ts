import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FrameJudge } from '../../../../src/node/http2/frame-judge.ts';
import { FrameWalk } from '../../../../src/node/http2/frame-walk.ts';
import { wireLimits } from '../../../../src/node/http2/http2-limits.ts';
import { WindowBudget } from '../../../../src/node/http2/upload-windows.ts';
import { HTTP2 } from '../../../support/harness/lone-node.ts';
import { FrameType, frame } from '../../../support/http2-client.ts';

interface Step {
  readonly direction: 'received' | 'sent';
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

const steps = fc.array(
  fc.record({
    direction: fc.constantFrom('received' as const, 'sent' as const),
    type: fc.oneof(fc.integer({ min: 0, max: 10 }), fc.integer({ min: 0, max: 255 })),
    flags: fc.oneof(fc.constantFrom(0, 1, 4, 5, 8, 13, 37), fc.integer({ min: 0, max: 255 })),
    stream: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 2 ** 31 - 1 })),
    payload: fc.uint8Array({ maxLength: 30 }),
  }),
  { maxLength: 60 },
);

function judged() {
  const said: Buffer[] = [];
  const ends: [number, string][] = [];
  const walks: { received: FrameWalk; sent: FrameWalk } = {} as never;
  const judge = new FrameJudge(wireLimits(HTTP2), new WindowBudget(1_000_000), {
    say: (bytes) => said.push(bytes),
    sayLast: (bytes) => said.push(bytes),
    insert: (bytes) => walks.received.insert(bytes),
    end: (code, reason) => ends.push([code, reason]),
  });
  walks.received = new FrameWalk(judge.received, 0);
  walks.sent = new FrameWalk(judge.sent, 0);
  return { judge, said, ends, walks };
}

describe('whatever frames come and go', () => {
  test('none throws, and how they are cut makes no difference', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 12 }), (sequence: Step[], pieceBytes) => {
        const [whole, cut] = [judged(), judged()];
        const passed: [Buffer[], Buffer[]] = [[], []];
        for (const { direction, type, flags, stream, payload } of sequence) {
          const bytes = frame(type, flags, stream, Buffer.from(payload));
          // What is sent may be changed on its way.
          passed[0].push(...whole.walks[direction].take(Buffer.from(bytes)));
          for (let at = 0; at < bytes.length; at += pieceBytes) {
            passed[1].push(...cut.walks[direction].take(Buffer.from(bytes.subarray(at, at + pieceBytes))));
          }
        }
        expect(Buffer.concat(passed[1])).toEqual(Buffer.concat(passed[0]));
        expect([cut.ends, Buffer.concat(cut.said)]).toEqual([whole.ends, Buffer.concat(whole.said)]);
      }),
      { numRuns: 3_000 },
    );
  });

  test('SETTINGS that are sent speak of the first window, and other entries stay', () => {
    const { walks } = judged();
    const entries = Buffer.from('0003000000640004 7fffffff 00050000 4000'.replaceAll(' ', ''), 'hex');
    const [passed] = walks.sent.take(frame(FrameType.SETTINGS, 0, 0, entries));
    expect(passed?.subarray(9).toString('hex')).toBe('0003000000640004'.concat('0000ffff', '000500004000'));
    expect(walks.sent.take(frame(FrameType.WINDOW_UPDATE, 0, 1, Buffer.alloc(4)))).toEqual([]);
    expect(walks.sent.take(frame(FrameType.WINDOW_UPDATE, 0, 0, Buffer.alloc(4)))).toHaveLength(1);
  });
});
