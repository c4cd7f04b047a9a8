import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag, Frame, ResetCode } from '../../../src/link/frames.ts';
import { type NodeEnd, nodeAndRawLinker, Recorder } from '../../support/harness/link-pair.ts';
import { destroySockets, EMPTY, type RawPeer, u32, until } from '../../support/harness/link-wire.ts';

afterEach(destroySockets);

const NEAR = { client: '', quiet: false, cost: 1 };

async function granted(count: number): Promise<{ node: NodeEnd; peer: RawPeer }> {
  const { node, peer } = await nodeAndRawLinker();
  peer.send(Frame.GRANT, u32(count));
  await until(() => node.link.idle === count);
  return { node, peer };
}

describe('a slot that is reserved for a relay', () => {
  test('is not idle here, serves reserved streams one after the other, and is idle again when it is released', async () => {
    const { node, peer } = await granted(2);
    const over: string[] = [];
    node.link.reserve(1);
    expect(node.link.idle).toBe(1);
    const kept = node.link.openReserved(new Recorder(), Flag.FRESH, NEAR, () => over.push('kept'));
    expect(() => node.link.openReserved(new Recorder(), Flag.NONE, NEAR, () => {})).toThrow('no reserved slot on this link');
    node.link.doneAndKeep(kept);
    const closed = node.link.openReserved(new Recorder(), Flag.NONE, NEAR, () => over.push('closed'));
    node.link.doneAndClose(closed);
    expect(over).toEqual(['kept']);
    peer.send(Frame.RESET, u32(ResetCode.CLOSED), closed.id);
    await until(() => over.length === 2);
    expect([node.link.idle, node.link.active]).toEqual([1, 0]);
    node.link.release(1);
    expect(node.link.idle).toBe(2);
    // There is no more to release.
    node.link.release(5);
    expect(node.link.idle).toBe(2);
    expect((await peer.take(Frame.OPEN)).flags).toBe(Flag.FRESH);
  });

  test('tells the stream how it ended before it says that it is free', async () => {
    const { node, peer } = await granted(1);
    const order: string[] = [];
    node.link.reserve(1);
    const handler = new Recorder();
    handler.onReset = (code) => order.push(`reset ${code}`);
    const stream = node.link.openReserved(handler, Flag.NONE, NEAR, () => order.push('free'));
    peer.send(Frame.RESET, u32(ResetCode.APP_REFUSED), stream.id);
    await until(() => order.length === 2);
    expect(order).toEqual([`reset ${ResetCode.APP_REFUSED}`, 'free']);
  });

  test('can not be more than are idle', async () => {
    const { node } = await granted(1);
    expect(() => node.link.reserve(2)).toThrow("can't reserve 2 of 1 idle slots");
  });

  test('counts against what the instance may lend', async () => {
    const { node, peer } = await granted(8);
    node.link.reserve(8);
    peer.send(Frame.GRANT, u32(1));
    await peer.end();
    expect(node.downs).toEqual(['protocol error: 9 slots granted by an instance of concurrency 8']);
  });

  test('is owed when it is recalled, and paid when it is released', async () => {
    const { node, peer } = await granted(3);
    node.link.reserve(2);
    peer.send(Frame.RECALL, u32(3));
    expect((await peer.take(Frame.RETURN)).payload).toEqual(u32(1));
    expect(node.said).toEqual(['recalled 2']);
    const stream = node.link.openReserved(new Recorder(), Flag.NONE, NEAR, () => {});
    node.link.doneAndKeep(stream);
    node.link.release(2);
    expect((await peer.take(Frame.RETURN)).payload).toEqual(u32(2));
    expect(node.link.idle).toBe(0);
  });

  test('is gone with its link, and its streams are told', async () => {
    const { node, peer } = await granted(3);
    node.link.reserve(2);
    const handler = new Recorder();
    const over: string[] = [];
    node.link.openReserved(handler, Flag.NONE, NEAR, () => over.push('free'));
    peer.socket.end();
    await until(() => node.downs.length === 1);
    expect(handler.resets.map(({ code }) => code)).toEqual([ResetCode.LINK_LOST]);
    node.link.release(2);
    expect([node.link.idle, node.link.active, over]).toEqual([0, 0, []]);
    expect(() => node.link.openReserved(new Recorder(), Flag.NONE, NEAR, () => {})).toThrow('no reserved slot');
    expect(() => node.link.open(new Recorder(), Flag.NONE, EMPTY)).toThrow('no idle slot');
  });
});
