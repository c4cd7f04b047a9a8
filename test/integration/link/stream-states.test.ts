import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag, ResetCode } from '../../../src/link/frames.ts';
import type { Stream, StreamState } from '../../../src/link/stream.ts';
import { lent, opened, Recorder } from '../../support/harness/link-pair.ts';
import { destroySockets, EMPTY } from '../../support/harness/link-wire.ts';

afterEach(destroySockets);

async function aStream(): Promise<Stream> {
  const { node, linker } = await lent(1);
  const near = node.link.open(new Recorder(), Flag.NONE, EMPTY);
  await opened(linker);
  // The link must not close it too when it breaks.
  node.link.streams.delete(near.id);
  return near;
}

const STEPS: Readonly<Record<string, (stream: Stream) => void>> = {
  end: (stream) => stream.end(),
  'peer ends': (stream) => stream.receiveEnd(),
  abandon: (stream) => stream.abandon(),
  close: (stream) => stream.close(),
};

describe('a stream of a link', () => {
  test.each<[steps: string[], is: StreamState]>([
    [['end'], 'half-closed-local'],
    [['peer ends'], 'half-closed-remote'],
    [['end', 'peer ends'], 'closing'],
    [['peer ends', 'end'], 'closing'],
    [['end', 'end'], 'half-closed-local'],
    [['end', 'peer ends', 'abandon'], 'abandoned'],
    [['abandon', 'end', 'peer ends', 'abandon'], 'abandoned'],
    [['abandon', 'close'], 'closed'],
    [['close', 'end', 'peer ends', 'abandon'], 'closed'],
  ])('after %p is %s', async (steps, is) => {
    const stream = await aStream();
    for (const step of steps) STEPS[step]?.(stream);
    expect(stream.state).toBe(is);
  });

  test('can not be closed twice, and nobody else can set its state', async () => {
    const stream = await aStream();
    stream.close();
    expect(() => stream.close()).toThrow('can not go from closed to closed');
    expect(() => Object.assign(stream, { state: 'open' })).toThrow();
    expect(stream.state).toBe('closed');
  });

  test('that was given up by a node whose link broke then stays closed', async () => {
    const { node, linker } = await lent(1);
    const near = node.link.open(new Recorder(), Flag.NONE, EMPTY);
    const far = await opened(linker);
    node.link.reset(near, ResetCode.CANCEL);
    linker.link.link.close('broken');
    far.stream.abandon();
    expect(far.stream.state).toBe('closed');
  });
});
