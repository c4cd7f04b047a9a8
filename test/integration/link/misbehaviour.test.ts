import { once } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag, Frame, ResetCode } from '../../../src/link/frames.ts';
import { linkerAndRawNode, nodeAndRawLinker, Recorder } from '../../support/harness/link-pair.ts';
import { destroySockets, EMPTY, frameBytes, headBytes, u32, until } from '../../support/harness/link-wire.ts';

afterEach(destroySockets);

describe('a peer that is linked', () => {
  test.each([
    ['lends more than its instance has', frameBytes(Frame.GRANT, u32(9)), '9 slots granted by an instance of concurrency 8'],
    ['lends four billion', frameBytes(Frame.GRANT, u32(0xffffffff)), '4294967295 slots granted'],
    ['says hello again', frameBytes(Frame.HELLO, Buffer.from('{}')), 'frame type 0 from a linker'],
    ['speaks as a node', frameBytes(Frame.OPEN, EMPTY, 1), 'frame type 10 from a linker'],
    ['sends half a number', frameBytes(Frame.GRANT, Buffer.alloc(2)), 'a number of 2 bytes'],
    ['fails a move to nowhere', frameBytes(Frame.MOVE_FAILED, u32(1)), 'MOVE_FAILED without an address'],
    ['reports what is no state', frameBytes(Frame.STATE, Buffer.from('{"home":true,"state":"odd","active":0}')), 'malformed STATE'],
    ['reports less than nothing', frameBytes(Frame.STATE, Buffer.from('{"home":true,"state":"ready","active":-1}')), 'malformed STATE'],
  ])('as linker and %s loses its link', async (_what, bytes, words) => {
    const { node, peer } = await nodeAndRawLinker();
    peer.socket.write(bytes);
    await peer.end();
    expect(node.downs).toEqual([expect.stringContaining(words)]);
  });

  test.each([
    [
      'opens what it was not lent',
      [Frame.OPEN, EMPTY, 1],
      [Frame.OPEN, EMPTY, 2],
      [Frame.OPEN, EMPTY, 3],
      'stream 3 opened without an idle slot',
    ],
    ['opens a stream twice', [Frame.OPEN, EMPTY, 1], [Frame.OPEN, EMPTY, 1], 'stream 1 opened twice'],
    ['returns a slot that is in use', [Frame.OPEN, EMPTY, 1], [Frame.RETURN, u32(2), 0], '2 slots returned, 1 are idle there'],
    ['moves more than it has', [Frame.MOVE, Buffer.concat([u32(3), Buffer.from('a:1')]), 0], '3 slots returned, 2 are idle there'],
    [
      'opens what costs more than it was lent',
      [Frame.COST, u32(2), 1],
      [Frame.OPEN, EMPTY, 1],
      [Frame.COST, u32(1), 2],
      [Frame.OPEN, EMPTY, 2],
      'stream 2 opened without an idle slot',
    ],
    ['opens what costs nothing', [Frame.COST, u32(0), 1], 'a stream that costs 0 slots'],
    ['wants four billion slots together', [Frame.COST, u32(0xffffffff), 0], 'a stream that costs 4294967295 slots'],
    [
      'returns a slot of a stream that costs two',
      [Frame.COST, u32(2), 1],
      [Frame.OPEN, EMPTY, 1],
      [Frame.RETURN, u32(1), 0],
      '1 slots returned, 0 are idle there',
    ],
    [
      'ends a parked stream as if it had a slot',
      [Frame.OPEN, EMPTY, 1],
      [Frame.PARK, u32(0), 1],
      [Frame.DONE, EMPTY, 1, Flag.KEEP],
      'stream 1 is parked, and occupies no slot',
    ],
    ['moves to nowhere', [Frame.MOVE, u32(1), 0], 'MOVE without an address'],
    ['speaks as a linker', [Frame.GRANT, u32(1), 0], 'frame type 5 from a node'],
    ['gives a reason that no peer may give', [Frame.OPEN, EMPTY, 1], [Frame.RESET, u32(ResetCode.LINK_LOST), 1], 'reset code 4'],
  ] as [string, ...([number, Buffer, number, number?] | string)[]][])('as node and %s loses its link', async (_what, ...steps) => {
    const { linker, peer } = await linkerAndRawNode();
    linker.link.grant(2);
    await peer.take(Frame.GRANT);
    for (const step of steps) if (typeof step !== 'string') peer.send(...step);
    await peer.end();
    expect(linker.downs).toEqual([expect.stringContaining(String(steps.at(-1)))]);
  });

  test('costs nothing for payloads that it only claims', async () => {
    const links = await Promise.all(Array.from({ length: 100 }, () => nodeAndRawLinker()));
    const before = process.memoryUsage().arrayBuffers;
    const claim = headBytes(Frame.DATA, 65_536, 1);
    const read = links.map(({ node }) => node.link.link.socket.bytesRead);
    for (const { peer } of links) peer.socket.write(claim);
    await until(() => links.every(({ node }, at) => node.link.link.socket.bytesRead === (read[at] ?? 0) + claim.length));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_048_576);
    expect(links.every(({ node }) => node.link.link.isUp)).toBe(true);
  });

  test('is disconnected within a second and a half also when it does not read its refusal', async () => {
    const { node, peer } = await nodeAndRawLinker();
    peer.send(Frame.GRANT, u32(1));
    await until(() => node.link.idle === 1);
    peer.socket.pause();
    const stream = node.link.open(new Recorder(), Flag.NONE, EMPTY);
    const { socket, writer } = node.link.link;
    // More than the kernel takes, so that the end of it waits here.
    while (writer.backlogBytes === 0) {
      for (let frames = 0; frames < 100; frames++) writer.frame(Frame.DATA, 0, stream.id, Buffer.alloc(65_536));
      writer.flush();
    }
    const closedAt = performance.now();
    node.link.link.close('enough');
    expect(socket.destroyed).toBe(false);
    await once(socket, 'close');
    expect(performance.now() - closedAt).toBeLessThan(1_500);
  });
});
