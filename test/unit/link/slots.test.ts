import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag, Frame, ResetCode, u32 } from '../../../src/link/frames.ts';
import { WINDOW_BYTES } from '../../../src/link/stream.ts';
import { type LinkerEnd, linkerAndRawNode, linkPair, type NodeEnd, type OpenedStream, Recorder } from './pair.ts';
import { destroySockets, EMPTY, until } from './wire.ts';

afterEach(destroySockets);

/** Resolves when everything that both ends had to say to each other has been heard, answers and answers to those included. */
async function quiet(node: NodeEnd, linker: LinkerEnd): Promise<void> {
  for (let round = 0; round < 3; round++) {
    const [atLinker, atNode] = [linker.said.length, node.said.length];
    node.link.newest(true);
    await until(() => linker.said.slice(atLinker).includes('newest true'));
    linker.link.report({ home: true, state: 'ready', active: round });
    await until(() => node.said.length > atNode);
  }
}

async function lent(count: number): Promise<{ node: NodeEnd; linker: LinkerEnd }> {
  const { node, linker } = await linkPair();
  linker.link.grant(count);
  await until(() => node.link.idle === count);
  return { node, linker };
}

async function opened(linker: LinkerEnd, count = 1): Promise<OpenedStream> {
  await until(() => linker.opened.length === count);
  return linker.opened[count - 1] as OpenedStream;
}

describe('slots', () => {
  test('are lent, used, idle again after DONE with KEEP, and returned', async () => {
    const { node, linker } = await lent(2);
    const stream = node.link.open(new Recorder(), Flag.CAREFUL, Buffer.from('first bytes'));
    expect([node.link.idle, node.link.active]).toEqual([1, 1]);
    const far = await opened(linker);
    expect(far.flags).toBe(Flag.CAREFUL);
    expect(Buffer.concat(far.handler.chunks).toString()).toBe('first bytes');
    node.link.doneAndKeep(stream);
    expect([node.link.idle, node.link.active]).toEqual([2, 0]);
    node.link.giveBack(5);
    await until(() => linker.returned === 2);
    expect(linker.done).toEqual([{ stream: far.stream, keep: true }]);
    expect([linker.link.lent, linker.link.streams.size, node.link.idle]).toEqual([0, 0, 0]);
  });

  test('are in use until the linker has closed the application connection when it is not to be kept', async () => {
    const { node, linker } = await lent(1);
    const handler = new Recorder();
    node.link.doneAndClose(node.link.open(handler, Flag.NONE, EMPTY));
    await until(() => linker.done.length === 1);
    expect([node.link.idle, node.link.active]).toEqual([0, 1]);
    linker.link.free((await opened(linker)).stream, ResetCode.CLOSED, true, false);
    await until(() => node.link.idle === 1);
    // This side ended it: no further word.
    expect(handler.resets).toEqual([]);
  });

  test('are not idle again before what was written has gone out, even if the answer is complete', async () => {
    const { node, linker } = await lent(1);
    const stream = node.link.open(new Recorder(), Flag.NONE, EMPTY);
    stream.write(Buffer.alloc(WINDOW_BYTES + 1));
    node.link.doneAndKeep(stream);
    expect([node.link.idle, node.link.active]).toEqual([0, 1]);
    await until(() => linker.done.length === 1);
    expect(linker.done[0]?.keep).toBe(false);
  });

  test('go to the oldest: a stream that the application refused reports itself before its slot is offered', async () => {
    const order: string[] = [];
    const { node, linker } = await linkPair({ node: { idle: () => order.push('slot idle') } });
    linker.link.grant(1);
    await until(() => node.link.idle === 1);
    const handler = new Recorder();
    handler.onReset = (code, reached, reused) => order.push(`reset ${code} ${reached} ${reused}`);
    node.link.open(handler, Flag.NONE, EMPTY);
    linker.link.free((await opened(linker)).stream, ResetCode.APP_REFUSED, false, true);
    await until(() => node.link.idle === 1);
    expect(order).toEqual(['slot idle', `reset ${ResetCode.APP_REFUSED} false true`, 'slot idle']);
  });

  test('that are refused while their stream is being opened cost nothing but that stream', async () => {
    const { node, linker } = await linkPair({
      linker: { opened: (stream) => linker.link.free(stream, ResetCode.APP_REFUSED, false, false) },
    });
    linker.link.grant(1);
    await until(() => node.link.idle === 1);
    const handler = new Recorder();
    node.link.open(handler, Flag.NONE, Buffer.from('first bytes'));
    await until(() => handler.resets.length === 1);
    expect(handler.resets).toEqual([{ code: ResetCode.APP_REFUSED, reached: false, reused: false }]);
    await quiet(node, linker);
    expect([node.link.idle, linker.link.lent]).toEqual([1, 1]);
    expect([...node.downs, ...linker.downs]).toEqual([]);
  });

  test('in use are paid back as their streams end, when they were recalled', async () => {
    const { node, linker } = await lent(3);
    const streams = [0, 1].map(() => node.link.open(new Recorder(), Flag.NONE, EMPTY));
    linker.link.recall(3);
    await until(() => linker.returned === 1);
    expect(node.said).toEqual(['recalled 2']);
    node.link.doneAndKeep(streams[0] as (typeof streams)[0]);
    await until(() => linker.returned === 2);
    linker.link.free((await opened(linker, 2)).stream, ResetCode.APP_CLOSED, true, false);
    await until(() => linker.returned === 3);
    expect([node.link.idle, node.link.active, linker.link.lent]).toEqual([0, 0, 0]);
    // A debt that is paid is not paid again.
    linker.link.grant(1);
    await quiet(node, linker);
    expect(node.link.idle).toBe(1);
  });

  test('that are recalled beyond what was lent leave no debt', async () => {
    const { node, linker } = await lent(2);
    linker.link.recall(0xffffffff);
    await until(() => linker.returned === 2);
    linker.link.grant(2);
    await quiet(node, linker);
    expect(node.link.idle).toBe(2);
  });

  test('move with the address of the node that wants them, and come back when it can not be reached', async () => {
    const { node, linker } = await lent(3);
    node.link.move(2, '[::1]:7000');
    await until(() => linker.said.length === 1);
    expect(linker.said).toEqual(['move 2 to [::1]:7000']);
    expect([node.link.idle, linker.link.lent]).toEqual([1, 1]);
    linker.link.moveFailed(2, '[::1]:7000');
    linker.link.grant(2);
    await until(() => node.link.idle === 3);
    expect(node.said).toEqual(['move of 2 to [::1]:7000 failed']);
    expect(() => node.link.move(4, 'a:1')).toThrow("can't move 4 of 3");
    expect(() => node.link.move(0, 'a:1')).toThrow("can't move 0 of 3");
  });

  test('go back when the node leaves: idle ones at once, those in use as their streams end, those on their way when they come', async () => {
    const { node, linker } = await lent(3);
    const stream = node.link.open(new Recorder(), Flag.NONE, EMPTY);
    node.link.goAway();
    linker.link.grant(1);
    await until(() => linker.returned === 3);
    expect(linker.said).toEqual(['go away']);
    node.link.doneAndKeep(stream);
    await until(() => linker.returned === 4);
    expect([node.link.idle, linker.link.lent]).toEqual([0, 0]);
  });

  test('still serve who is held here while the node leaves', async () => {
    let held = 1;
    const serve = (): void => {
      if (held > 0 && node.link.idle > 0) node.link.open(new Recorder(), Flag.NONE, EMPTY);
      held = 0;
    };
    const { node, linker } = await linkPair({ node: { idle: () => serve() } });
    node.link.goAway();
    linker.link.grant(2);
    await until(() => linker.returned === 1);
    expect([node.link.active, linker.link.lent]).toEqual([1, 1]);
  });

  test('can not be used without being there', async () => {
    const { node } = await lent(1);
    node.link.open(new Recorder(), Flag.NONE, EMPTY);
    expect(() => node.link.open(new Recorder(), Flag.NONE, EMPTY)).toThrow('no idle slot on this link');
  });
});

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
