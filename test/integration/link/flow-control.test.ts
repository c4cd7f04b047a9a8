import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag, Frame, PAYLOAD_BYTES_MAX } from '../../../src/link/frames.ts';
import type { Stream } from '../../../src/link/stream.ts';
import { WINDOW_BYTES } from '../../../src/link/stream.ts';
import { type LinkerEnd, linkerAndRawNode, type NodeEnd, nodeAndRawLinker, Recorder } from '../../support/harness/link-pair.ts';
import { destroySockets, EMPTY, type RawPeer, u32, until } from '../../support/harness/link-wire.ts';

afterEach(destroySockets);

const STREAM_ID = 1;

/** A stream of a real node towards a linker that gives no credit unless the test does. */
async function streamToRawLinker(opening = EMPTY): Promise<{ node: NodeEnd; peer: RawPeer; stream: Stream; handler: Recorder }> {
  const { node, peer } = await nodeAndRawLinker();
  peer.send(Frame.GRANT, u32(1));
  await until(() => node.link.idle === 1);
  const handler = new Recorder();
  const stream = node.link.open(handler, Flag.NONE, opening);
  await peer.take(Frame.OPEN);
  return { node, peer, stream, handler };
}

/** A stream of a real linker, opened by a node that sends what the test tells it. */
async function streamOfRawNode(): Promise<{ linker: LinkerEnd; peer: RawPeer; stream: Stream; handler: Recorder }> {
  const { linker, peer } = await linkerAndRawNode();
  linker.link.grant(1);
  await peer.take(Frame.GRANT);
  peer.send(Frame.OPEN, EMPTY, STREAM_ID);
  await until(() => linker.opened.length === 1);
  const [opened] = linker.opened;
  if (opened === undefined) throw new Error('no stream');
  return { linker, peer, ...opened };
}

function dataBytes(peer: RawPeer): number {
  return peer.frames.reduce((sum, frame) => sum + (frame.type === Frame.DATA ? frame.payload.length : 0), 0);
}

describe('a sender', () => {
  test('stops after a window when no credit comes, and goes on by what is given', async () => {
    const { peer, stream, handler } = await streamToRawLinker();
    expect(stream.write(Buffer.alloc(WINDOW_BYTES))).toBe(true);
    expect(stream.write(Buffer.alloc(100_000))).toBe(false);
    await until(() => dataBytes(peer) === WINDOW_BYTES);
    expect(stream.pendingBytes).toBe(100_000);
    peer.send(Frame.WINDOW, u32(60_000), stream.id);
    await until(() => dataBytes(peer) === WINDOW_BYTES + 60_000);
    expect(handler.drains).toBe(0);
    expect(stream.pendingBytes).toBe(40_000);
    peer.send(Frame.WINDOW, u32(60_000), stream.id);
    await until(() => handler.drains === 1);
    expect(stream.pendingBytes).toBe(0);
    expect(stream.write(Buffer.alloc(20_000))).toBe(true);
    expect(stream.write(Buffer.alloc(1))).toBe(false);
  });

  test('charges what the OPEN carried to the window', async () => {
    const { peer, stream } = await streamToRawLinker(Buffer.alloc(10_000));
    stream.write(Buffer.alloc(WINDOW_BYTES));
    await until(() => dataBytes(peer) === WINDOW_BYTES - 10_000);
    expect(stream.pendingBytes).toBe(10_000);
  });

  test('never sends a frame of more than 65,536 bytes, the OPEN neither', async () => {
    const { node, peer } = await nodeAndRawLinker();
    peer.send(Frame.GRANT, u32(1));
    await until(() => node.link.idle === 1);
    const bytes = Buffer.alloc(WINDOW_BYTES + 5_000, 'abcdefg');
    const handler = new Recorder();
    const stream = node.link.open(handler, Flag.NONE, bytes);
    const opening = (await peer.take(Frame.OPEN)).payload;
    expect(opening.length).toBe(PAYLOAD_BYTES_MAX);
    await until(() => dataBytes(peer) === WINDOW_BYTES - PAYLOAD_BYTES_MAX);
    peer.send(Frame.WINDOW, u32(WINDOW_BYTES), stream.id);
    await until(() => handler.drains === 1 && dataBytes(peer) === bytes.length - PAYLOAD_BYTES_MAX);
    expect(Math.max(...peer.frames.map((frame) => frame.payload.length))).toBeLessThanOrEqual(PAYLOAD_BYTES_MAX);
    expect(Buffer.concat([opening, ...peer.frames.map((frame) => frame.payload)]).equals(bytes)).toBe(true);
  });

  test('sends END after everything that it still has to send, then says that all is sent', async () => {
    const { peer, stream, handler } = await streamToRawLinker();
    stream.write(Buffer.alloc(WINDOW_BYTES + 3, 'x'));
    stream.end();
    stream.end();
    expect(stream.write(Buffer.from('after the end'))).toBe(true);
    await until(() => dataBytes(peer) === WINDOW_BYTES);
    expect(peer.frames.some((frame) => frame.type === Frame.END)).toBe(false);
    expect(stream.state).toBe('open');
    peer.send(Frame.WINDOW, u32(3), stream.id);
    await peer.take(Frame.END);
    expect(dataBytes(peer)).toBe(WINDOW_BYTES + 3);
    expect(peer.frames.some((frame) => frame.type === Frame.END)).toBe(false);
    expect(stream.state).toBe('half-closed-local');
    expect(handler.drains).toBe(1);
  });

  test('drops what it has to send when the stream is given up', async () => {
    const { node, peer, stream } = await streamToRawLinker();
    stream.write(Buffer.alloc(WINDOW_BYTES + 3));
    stream.end();
    node.link.doneAndClose(stream);
    expect(stream.pendingBytes).toBe(0);
    await peer.take(Frame.DONE);
    peer.send(Frame.WINDOW, u32(1_000), stream.id);
    peer.send(Frame.RESET, u32(0), stream.id);
    await until(() => node.link.idle === 1);
    expect(dataBytes(peer)).toBe(WINDOW_BYTES);
    expect(peer.frames.some((frame) => frame.type === Frame.END)).toBe(false);
  });
});

describe('a receiver', () => {
  test('gives credit back in halves of the window, for what was passed on', async () => {
    const { peer, stream, handler } = await streamOfRawNode();
    for (let sent = 0; sent < WINDOW_BYTES; sent += PAYLOAD_BYTES_MAX) peer.send(Frame.DATA, Buffer.alloc(PAYLOAD_BYTES_MAX), STREAM_ID);
    await until(() => handler.bytes === WINDOW_BYTES);
    stream.consumed(WINDOW_BYTES / 2 - 1);
    stream.consumed(1);
    expect((await peer.take(Frame.WINDOW)).payload).toEqual(u32(WINDOW_BYTES / 2));
    stream.consumed(WINDOW_BYTES / 2);
    expect((await peer.take(Frame.WINDOW)).payload).toEqual(u32(WINDOW_BYTES / 2));
    expect(peer.frames).toEqual([]);
  });

  test('gives no credit to a sender that has ended', async () => {
    const { linker, peer, stream, handler } = await streamOfRawNode();
    peer.send(Frame.DATA, Buffer.alloc(PAYLOAD_BYTES_MAX), STREAM_ID);
    peer.send(Frame.DATA, Buffer.alloc(PAYLOAD_BYTES_MAX), STREAM_ID);
    peer.send(Frame.DATA, Buffer.alloc(PAYLOAD_BYTES_MAX), STREAM_ID);
    peer.send(Frame.END, EMPTY, STREAM_ID);
    await until(() => handler.ends === 1);
    stream.consumed(handler.bytes);
    linker.link.report({ home: true, state: 'ready', active: 0 });
    await peer.take(Frame.STATE);
    expect(peer.frames).toEqual([]);
  });

  test('closes the link on a sender that exceeds the window by one byte', async () => {
    const { linker, peer, handler } = await streamOfRawNode();
    for (let sent = 0; sent < WINDOW_BYTES; sent += PAYLOAD_BYTES_MAX) peer.send(Frame.DATA, Buffer.alloc(PAYLOAD_BYTES_MAX), STREAM_ID);
    await until(() => handler.bytes === WINDOW_BYTES);
    expect(linker.downs).toEqual([]);
    peer.send(Frame.DATA, Buffer.alloc(1), STREAM_ID);
    await peer.end();
    expect(linker.downs).toEqual([`protocol error: stream ${STREAM_ID} exceeds its window`]);
    expect(handler.bytes).toBe(WINDOW_BYTES);
  });

  test('counts what was passed on but not told yet against the window', async () => {
    const { linker, peer, stream, handler } = await streamOfRawNode();
    for (let sent = 0; sent < WINDOW_BYTES; sent += PAYLOAD_BYTES_MAX) peer.send(Frame.DATA, Buffer.alloc(PAYLOAD_BYTES_MAX), STREAM_ID);
    await until(() => handler.bytes === WINDOW_BYTES);
    stream.consumed(1_000);
    peer.send(Frame.DATA, Buffer.alloc(1), STREAM_ID);
    await peer.end();
    expect(linker.downs).toEqual([`protocol error: stream ${STREAM_ID} exceeds its window`]);
  });

  test.each([1, 0xffffffff])('closes the link on a peer that gives %d bytes more credit than the window', async (bytes) => {
    const { node, peer, stream, handler } = await streamToRawLinker();
    peer.send(Frame.WINDOW, u32(bytes), stream.id);
    await peer.end();
    expect(node.downs).toEqual([`protocol error: stream ${stream.id} was given more credit than its window`]);
    expect(handler.resets).toHaveLength(1);
  });

  test('closes the link on data after END, also when both sides have ended', async () => {
    for (const answer of [false, true]) {
      const { linker, peer, stream, handler } = await streamOfRawNode();
      peer.send(Frame.END, EMPTY, STREAM_ID);
      await until(() => handler.ends === 1);
      if (answer) stream.end();
      expect(stream.state).toBe(answer ? 'closing' : 'half-closed-remote');
      peer.send(Frame.DATA, Buffer.from('late'), STREAM_ID);
      await peer.end();
      expect(linker.downs).toEqual([`protocol error: data on stream ${STREAM_ID} after its end`]);
    }
  });

  test('copies a small chunk that has to wait, so that it does not keep a whole read alive', async () => {
    const { peer, handler } = await streamOfRawNode();
    const filler = Buffer.alloc(30_000);
    // One write, so that small and large frames share their reads; the large ones are for a stream that is over.
    peer.socket.cork();
    for (let turn = 0; turn < 100; turn++) {
      peer.send(Frame.DATA, Buffer.alloc(100, turn), STREAM_ID);
      peer.send(Frame.DATA, filler, STREAM_ID + 1);
    }
    peer.socket.uncork();
    await until(() => handler.bytes === 10_000);
    const kept = new Set(handler.chunks.slice(1).map((chunk) => chunk.buffer));
    expect([...kept].reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThan(200_000);
    expect(handler.chunks.map((chunk) => chunk[99])).toEqual(Array.from({ length: 100 }, (_, turn) => turn));
  });

  test('passes on without a copy what does not wait', async () => {
    const { peer, stream, handler } = await streamOfRawNode();
    handler.onData = (chunk) => {
      handler.chunks.push(chunk);
      stream.consumed(chunk.length);
      return 'kept';
    };
    peer.socket.cork();
    for (let turn = 0; turn < 30; turn++) peer.send(Frame.DATA, Buffer.alloc(5_000, turn), STREAM_ID);
    peer.socket.uncork();
    await until(() => handler.bytes === 150_000);
    // What is passed on as it was read has its own head before it.
    const asRead = handler.chunks.filter(({ buffer, byteOffset }) => Buffer.from(buffer)[byteOffset - 8] === Frame.DATA * 8);
    expect(asRead).toHaveLength(30);
  });
});
