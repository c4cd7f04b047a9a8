import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Flag, ResetCode } from '../../../src/link/frames.ts';
import { type Stream, WINDOW_BYTES } from '../../../src/link/stream.ts';
import { linkPair, type OpenedStream, Recorder } from '../../support/harness/link-pair.ts';
import { destroySockets, EMPTY, until } from '../../support/harness/link-wire.ts';

afterEach(destroySockets);

/** Both ends real, with `count` streams open. */
async function streams(count: number): Promise<{ from: Stream[]; to: OpenedStream[]; handlers: Recorder[] }> {
  const { node, linker } = await linkPair();
  linker.link.grant(count);
  await until(() => node.link.idle === count);
  const handlers = Array.from({ length: count }, () => new Recorder());
  const from = handlers.map((handler) => node.link.open(handler, Flag.NONE, EMPTY));
  await until(() => linker.opened.length === count);
  return { from, to: linker.opened, handlers };
}

/** Writes while it may, and goes on when it is told to. */
class Source extends Recorder {
  readonly #bytes: Buffer;
  readonly #sizes: readonly number[];
  #at = 0;
  #turn = 0;
  stream: Stream | null = null;

  constructor(bytes: Buffer, sizes: readonly number[]) {
    super();
    this.#bytes = bytes;
    this.#sizes = sizes;
  }

  get sent(): number {
    return this.#at;
  }

  override onDrain(): void {
    super.onDrain();
    this.go();
  }

  go(): void {
    while (this.#at < this.#bytes.length) {
      const size = this.#sizes[this.#turn++ % this.#sizes.length] ?? 1;
      const chunk = this.#bytes.subarray(this.#at, this.#at + size);
      this.#at += chunk.length;
      if (this.stream?.write(chunk) === false) return;
    }
    this.stream?.end();
  }
}

function sum(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex');
}

describe('streams of one link', () => {
  test('carry any bytes in order, however they are written and at whatever pace they are passed on', async () => {
    const plan = fc.record({
      bytes: fc.nat(900_000),
      sizes: fc.array(fc.integer({ min: 100, max: 200_000 }), { minLength: 1, maxLength: 5 }),
      paces: fc.array(fc.integer({ min: 3_000, max: 200_000 }), { minLength: 1, maxLength: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(plan, { minLength: 1, maxLength: 4 }), async (plans) => {
        const { from, to, handlers } = await streams(plans.length);
        const all = plans.map(({ bytes, sizes, paces }, at) => {
          const content = Buffer.alloc(bytes, `stream ${at} says `);
          const source = new Source(content, sizes);
          source.stream = from[at] ?? null;
          (from[at] as Stream).handler = source;
          return { content, paces, source, sink: to[at] as OpenedStream, consumed: 0 };
        });
        for (const { source } of all) source.go();
        for (let turn = 0; all.some(({ sink }) => sink.handler.ends === 0); turn++) {
          await new Promise(setImmediate);
          for (const one of all) {
            const unconsumed = one.sink.handler.bytes - one.consumed;
            expect(unconsumed).toBeLessThanOrEqual(WINDOW_BYTES);
            const bytes = Math.min(unconsumed, one.paces[turn % one.paces.length] ?? 1);
            one.consumed += bytes;
            one.sink.stream.consumed(bytes);
          }
        }
        for (const { content, sink } of all) expect(sum(Buffer.concat(sink.handler.chunks))).toBe(sum(content));
        expect(handlers.flatMap((handler) => handler.resets)).toEqual([]);
      }),
      { numRuns: 15 },
    );
  });

  test('stop alone when their reader is slow, within one window', async () => {
    const { from, to } = await streams(2);
    const [slow, fast] = [new Source(Buffer.alloc(4_000_000, 's'), [50_000]), new Source(Buffer.alloc(4_000_000, 'f'), [50_000])];
    for (const [at, source] of [slow, fast].entries()) {
      source.stream = from[at] as Stream;
      source.stream.handler = source;
      source.go();
    }
    const [slowEnd, fastEnd] = to as [OpenedStream, OpenedStream];
    fastEnd.handler.onData = (chunk) => {
      fastEnd.handler.chunks.push(chunk);
      fastEnd.stream.consumed(chunk.length);
      return 'kept';
    };
    await until(() => fastEnd.handler.ends === 1);
    expect(fastEnd.handler.bytes).toBe(4_000_000);
    expect(slowEnd.handler.bytes).toBe(WINDOW_BYTES);
    expect(slow.sent).toBeLessThanOrEqual(WINDOW_BYTES + 50_000);
    slowEnd.handler.onData = (chunk) => {
      slowEnd.handler.chunks.push(chunk);
      slowEnd.stream.consumed(chunk.length);
      return 'kept';
    };
    slowEnd.stream.consumed(WINDOW_BYTES);
    await until(() => slowEnd.handler.ends === 1);
    expect(slowEnd.handler.bytes).toBe(4_000_000);
  });

  test('half-close each way, and are over only when the node or the linker says so', async () => {
    const { node, linker } = await linkPair();
    linker.link.grant(1);
    await until(() => node.link.idle === 1);
    const handler = new Recorder();
    const near = node.link.open(handler, Flag.NONE, Buffer.from('question'));
    near.end();
    await until(() => linker.opened[0]?.handler.ends === 1);
    const far = (linker.opened[0] as OpenedStream).stream;
    expect([near.state, far.state]).toEqual(['half-closed-local', 'half-closed-remote']);
    far.write(Buffer.from('answer'));
    far.end();
    await until(() => handler.ends === 1);
    expect([near.state, far.state]).toEqual(['closing', 'closing']);
    expect([node.link.idle, node.link.active, linker.link.streams.size]).toEqual([0, 1, 1]);
    expect(Buffer.concat(handler.chunks).toString()).toBe('answer');
    linker.link.free(far, ResetCode.CLOSED, true, false);
    await until(() => node.link.idle === 1);
    expect([near.state, far.state]).toEqual(['closed', 'closed']);
    expect(handler.resets).toEqual([{ code: ResetCode.CLOSED, reached: true, reused: false }]);
  });

  test('say nothing and take nothing when they are over', async () => {
    const { from, to, handlers } = await streams(1);
    const [near, far] = [from[0] as Stream, (to[0] as OpenedStream).stream];
    near.close();
    far.close();
    expect(near.write(Buffer.from('x'))).toBe(true);
    near.end();
    near.consumed(WINDOW_BYTES);
    far.write(Buffer.from('x'));
    await new Promise(setImmediate);
    expect(handlers[0]?.bytes).toBe(0);
    expect(near.state).toBe('closed');
  });
});
