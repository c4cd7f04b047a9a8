import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag, Frame, ResetCode } from '../../../src/link/frames.ts';
import { lent, linkerAndRawNode, linkPair, nodeAndRawLinker, opened, quiet, Recorder } from '../../support/harness/link-pair.ts';
import { destroySockets, EMPTY, u32, until } from '../../support/harness/link-wire.ts';

afterEach(destroySockets);

describe('a stream', () => {
  test('that both sides end at once is over once, and its slot is idle once', async () => {
    for (const end of ['doneAndKeep', 'doneAndClose', 'reset'] as const) {
      const { node, linker } = await lent(1);
      const handler = new Recorder();
      const near = node.link.open(handler, Flag.NONE, EMPTY);
      const far = await opened(linker);
      // Both in one turn: the frames cross on the wire.
      node.link[end](near, ResetCode.CANCEL);
      linker.link.free(far.stream, ResetCode.APP_CLOSED, true, false);
      await quiet(node, linker);
      expect([node.link.idle, node.link.active, linker.link.lent, linker.link.streams.size]).toEqual([1, 0, 1, 0]);
      expect([handler.resets, far.handler.resets, linker.done]).toEqual([[], [], []]);
      expect([...node.downs, ...linker.downs]).toEqual([]);
    }
  });

  test('that was given up can not be given up again, nor its slot become idle before the linker says so', async () => {
    const { node, linker } = await lent(1);
    const near = node.link.open(new Recorder(), Flag.NONE, EMPTY);
    node.link.reset(near, ResetCode.CANCEL);
    node.link.reset(near, ResetCode.CANCEL);
    node.link.doneAndClose(near);
    node.link.doneAndKeep(near);
    await quiet(node, linker);
    const far = await opened(linker);
    expect([node.link.idle, node.link.active]).toEqual([0, 1]);
    expect(far.handler.resets).toEqual([{ code: ResetCode.CANCEL, reached: true, reused: false }]);
    expect(linker.done).toEqual([]);
    linker.link.free(far.stream, ResetCode.CLOSED, true, false);
    linker.link.free(far.stream, ResetCode.CLOSED, true, false);
    await quiet(node, linker);
    expect([node.link.idle, node.link.active, linker.link.lent]).toEqual([1, 0, 1]);
  });

  test('is given up in one frame', async () => {
    const { node, peer } = await nodeAndRawLinker();
    peer.send(Frame.GRANT, u32(1));
    await until(() => node.link.idle === 1);
    const near = node.link.open(new Recorder(), Flag.NONE, EMPTY);
    for (const end of ['doneAndClose', 'reset', 'doneAndClose', 'doneAndKeep'] as const) node.link[end](near, ResetCode.CANCEL);
    node.link.newest(true);
    await peer.take(Frame.NEWEST);
    expect(peer.frames.map(({ type }) => type)).toEqual([Frame.OPEN, Frame.DONE]);
  });

  test('keeps its slot when a node resets it twice or says DONE after, until the application connection is closed', async () => {
    const { linker, peer } = await linkerAndRawNode();
    linker.link.grant(1);
    await peer.take(Frame.GRANT);
    peer.send(Frame.OPEN, EMPTY, 9);
    const far = await opened(linker);
    peer.send(Frame.RESET, u32(ResetCode.CANCEL), 9);
    peer.send(Frame.RESET, u32(ResetCode.CANCEL), 9);
    peer.send(Frame.DONE, EMPTY, 9, Flag.KEEP);
    peer.send(Frame.NEWEST, EMPTY, 0, Flag.YES);
    await until(() => linker.said.length === 1);
    expect([linker.link.streams.size, far.handler.resets.length, linker.done.length]).toEqual([1, 1, 0]);
    linker.link.free(far.stream, ResetCode.CLOSED, true, false);
    expect((await peer.take(Frame.RESET)).payload).toEqual(u32(ResetCode.CLOSED));
  });

  test('gets an id that no open stream has when the ids start over', async () => {
    const { node, linker } = await linkPair({ lastStreamId: 0xfffffffd });
    linker.link.grant(6);
    await until(() => node.link.idle === 6);
    const first = node.link.open(new Recorder(), Flag.NONE, EMPTY);
    for (let more = 0; more < 4; more++) node.link.open(new Recorder(), Flag.NONE, EMPTY);
    await opened(linker, 5);
    expect(linker.opened.map(({ stream }) => stream.id)).toEqual([0xfffffffe, 0xffffffff, 1, 2, 3]);
    node.link.doneAndKeep(first);
    await quiet(node, linker);
    expect([...node.downs, ...linker.downs]).toEqual([]);
  });

  test('gets an id that is free when the next ones are still open', async () => {
    const { node, linker } = await linkPair({ lastStreamId: 0xffffffff });
    linker.link.grant(2);
    await until(() => node.link.idle === 2);
    const first = node.link.open(new Recorder(), Flag.NONE, EMPTY);
    expect(first.id).toBe(1);
    // As if opened four billion streams ago.
    node.link.streams.set(2, first);
    expect(node.link.open(new Recorder(), Flag.NONE, EMPTY).id).toBe(3);
  });
});
