import type { Socket } from 'node:net';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { Flag, Frame, ResetCode } from '../../../src/link/frames.ts';
import type { Stream } from '../../../src/link/stream.ts';
import { type LinkerEnd, linkPair, type NodeEnd, nodeAndRawLinker, Recorder } from '../../support/harness/link-pair.ts';
import { destroySockets, EMPTY, type SocketPair, u32, until } from '../../support/harness/link-wire.ts';

afterEach(destroySockets);

const LOST = { code: ResetCode.LINK_LOST, reached: true, reused: false };

/** A link with `count` streams open, and idle slots beside them. */
async function openStreams(
  count: number,
): Promise<{ node: NodeEnd; linker: LinkerEnd; sockets: SocketPair; streams: Stream[]; handlers: Recorder[] }> {
  const { node, linker, sockets } = await linkPair();
  linker.link.grant(8);
  await until(() => node.link.idle === 8);
  const handlers = Array.from({ length: count }, () => new Recorder());
  const streams = handlers.map((handler) => node.link.open(handler, Flag.NONE, Buffer.from('first bytes')));
  await until(() => linker.opened.length === count);
  return { node, linker, sockets, streams, handlers };
}

const LOSSES: [string, (pair: SocketPair, node: NodeEnd, linker: LinkerEnd) => void][] = [
  ['the node closes it', (_sockets, node) => node.link.link.close('over')],
  ['the linker closes it', (_sockets, _node, linker) => linker.link.link.close('over')],
  ['both close it', (_sockets, node, linker) => [node.link.link.close('over'), linker.link.link.close('over')]],
  ['the connection is reset', ({ accepted }) => accepted.resetAndDestroy()],
  ['the connection is destroyed', ({ dialled }) => dialled.destroy()],
  ['one side sends FIN', ({ dialled }) => dialled.end()],
  ['the node breaks the protocol', (_sockets, node) => node.link.link.writer.frame(Frame.HELLO, 0, 0, null)],
];

describe('a link that is lost', () => {
  test.each(LOSSES)('because %s ends every open stream once at both ends, and takes the slots home', async (_why, lose) => {
    const { node, linker, sockets, handlers } = await openStreams(3);
    lose(sockets, node, linker);
    await until(() => node.downs.length > 0 && linker.downs.length > 0);
    await until(() => sockets.accepted.closed && sockets.dialled.closed);
    expect([node.downs.length, linker.downs.length]).toEqual([1, 1]);
    expect(handlers.map((handler) => handler.resets)).toEqual([[LOST], [LOST], [LOST]]);
    expect(linker.opened.map(({ handler }) => handler.resets)).toEqual([[LOST], [LOST], [LOST]]);
    expect([node.link.idle, node.link.active, linker.link.lent, linker.link.streams.size]).toEqual([0, 0, 0, 0]);
    expect([node.link.link.isUp, linker.link.link.isUp]).toEqual([false, false]);
    expect(node.link.link.downReason).toBe(node.downs[0]);
  });

  test('says nothing to those who had ended their stream, or had heard of its end', async () => {
    const { node, linker, streams, handlers } = await openStreams(4);
    const [kept, closed, cancelled, freed] = streams as [Stream, Stream, Stream, Stream];
    node.link.doneAndKeep(kept);
    node.link.doneAndClose(closed);
    node.link.reset(cancelled, ResetCode.CANCEL);
    linker.link.free((linker.opened[3] as { stream: Stream }).stream, ResetCode.APP_CLOSED, true, false);
    await until(() => freed.state === 'closed' && linker.done.length === 2);
    node.link.link.close('over');
    await until(() => linker.downs.length === 1);
    expect(handlers.map((handler) => handler.resets.map(({ code }) => code))).toEqual([[], [], [], [ResetCode.APP_CLOSED]]);
    const atLinker = linker.opened.map(({ handler }) => handler.resets.map(({ code }) => code));
    // The second waits for its application connection to close; the third was told once already.
    expect(atLinker).toEqual([[], [ResetCode.LINK_LOST], [ResetCode.CANCEL], []]);
  });

  test('is down, without slots, before the first stream hears of it, and whatever they do then does nothing', async () => {
    const { node, linker, streams, handlers } = await openStreams(2);
    const seen: unknown[] = [];
    for (const [at, handler] of handlers.entries()) {
      handler.onReset = () => {
        seen.push([node.downs.length, node.link.idle, node.link.active]);
        for (const stream of streams) {
          node.link.doneAndKeep(stream);
          node.link.doneAndClose(stream);
          node.link.reset(stream, ResetCode.CANCEL);
          stream.write(Buffer.from('x'));
          stream.end();
          stream.consumed(1);
        }
        node.link.giveBack(1);
        node.link.link.close(`again ${at}`);
        expect(() => node.link.open(new Recorder(), Flag.NONE, EMPTY)).toThrow('no idle slot');
      };
    }
    node.link.link.close('over');
    expect(seen).toEqual([
      [1, 0, 0],
      [1, 0, 0],
    ]);
    expect([node.downs, node.link.idle]).toEqual([['over'], 0]);
    await until(() => linker.downs.length === 1);
  });

  test('still delivers what was queued before it was closed', async () => {
    const { node, peer } = await nodeAndRawLinker();
    peer.send(Frame.GRANT, u32(1));
    await until(() => node.link.idle === 1);
    node.link.open(new Recorder(), Flag.NONE, EMPTY).write(Buffer.alloc(200_000));
    node.link.link.close('over');
    await peer.end();
    expect(peer.frames.reduce((sum, { payload }) => sum + payload.length, 0)).toBe(200_000);
  });

  test('has no stream left when its end is told', async () => {
    const active: number[] = [];
    const { node, peer } = await nodeAndRawLinker({ node: { down: () => active.push(node.link.active) } });
    peer.send(Frame.GRANT, u32(1));
    await until(() => node.link.idle === 1);
    node.link.open(new Recorder(), Flag.NONE, EMPTY);
    peer.socket.end();
    await until(() => active.length > 0);
    expect(active).toEqual([0]);
  });

  test('hears nothing more that was in the same read', async () => {
    const { node, peer } = await nodeAndRawLinker({ node: { retire: () => node.link.link.close('over') } });
    peer.socket.cork();
    peer.send(Frame.RETIRE);
    peer.send(Frame.GRANT, u32(1));
    peer.socket.uncork();
    await peer.end();
    expect([node.link.idle, node.downs]).toEqual([0, ['over']]);
  });
});

test('what a link has to say in one turn leaves in one write, from either end', async () => {
  const { node, linker, sockets, streams } = await openStreams(6);
  const writes = (socket: Socket): (() => number) => {
    const [one, many] = [jest.spyOn(socket, '_write'), jest.spyOn(socket as Socket & Required<Pick<Socket, '_writev'>>, '_writev')];
    return () => one.mock.calls.length + many.mock.calls.length;
  };
  const [fromNode, fromLinker] = [writes(sockets.accepted), writes(sockets.dialled)];
  for (const stream of streams) stream.write(Buffer.alloc(20_000));
  node.link.doneAndClose(streams[0] as Stream);
  node.link.open(new Recorder(), Flag.NONE, Buffer.from('one more'));
  node.link.giveBack(1);
  await until(() => linker.returned === 1);
  expect(fromNode()).toBe(1);
  for (const { stream } of linker.opened) stream.write(Buffer.from('answer'));
  linker.link.report({ home: true, state: 'ready', active: 7 });
  await until(() => node.said.length === 1);
  expect(fromLinker()).toBe(1);
});
