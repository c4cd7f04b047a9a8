import { afterEach, describe, expect, test } from '@jest/globals';
import { Frame, HANDSHAKE_PAYLOAD_BYTES_MAX } from '../../../src/link/frames.ts';
import type { Hello } from '../../../src/link/handshake.ts';
import { newNonce } from '../../../src/link/proof.ts';
import { HELLO } from '../../support/harness/link-pair.ts';
import { destroySockets, frameBytes, headBytes, RawPeer, socketPair, until } from '../../support/harness/link-wire.ts';
import { accept, both, dial } from '../../support/harness/outcome.ts';

afterEach(destroySockets);

describe('before its proof a peer', () => {
  test.each([
    [
      'a payload of more than 4,096 bytes',
      headBytes(Frame.HELLO, HANDSHAKE_PAYLOAD_BYTES_MAX + 1),
      'frame of 4097 bytes, at most 4096 are allowed',
    ],
    ['a frame that belongs to a link', frameBytes(Frame.GRANT, Buffer.alloc(4)), 'frame type 5 in the handshake'],
    ['a proof without a hello', frameBytes(Frame.PROOF, Buffer.from('{}')), 'frame type 2 in the handshake'],
    ['a frame of no known type', frameBytes(31), 'frame type 31 in the handshake'],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), 'at most 4096 are allowed'],
  ])('is refused with words for %s', async (_what, bytes, words) => {
    const sockets = await socketPair();
    const node = accept(sockets);
    const peer = new RawPeer(sockets.dialled);
    peer.socket.write(bytes);
    expect((await peer.takeJson(Frame.REFUSE)).reason).toContain(words);
    expect(await node.reason()).toContain(words);
  });

  test('may say hello once', async () => {
    const sockets = await socketPair();
    const node = accept(sockets);
    const peer = new RawPeer(sockets.dialled);
    for (let times = 0; times < 2; times++) peer.sendJson(Frame.HELLO, { v: 2, ...HELLO, nonce: newNonce() });
    expect(await node.reason()).toContain('frame type 0 in the handshake');
  });

  test('is cut off in the middle of a flood, and gets one refusal for it', async () => {
    const sockets = await socketPair();
    const node = accept(sockets);
    const peer = new RawPeer(sockets.dialled);
    const garbage = Buffer.concat(Array.from({ length: 100 }, () => frameBytes(Frame.HELLO, Buffer.alloc(600, '{'))));
    let floods = 0;
    const flood = (): void => {
      while (!peer.socket.destroyed && floods++ < 2_000 && peer.socket.write(garbage));
    };
    peer.socket.on('drain', flood);
    flood();
    expect(await node.reason()).toContain('not a JSON object');
    await until(() => sockets.accepted.destroyed);
    expect(sockets.accepted.bytesWritten).toBeLessThan(200);
    expect(sockets.accepted.bytesRead).toBeLessThan(16 * 1_048_576);
  });
});

describe('a HELLO', () => {
  const cases: [string, Record<string, unknown>, string][] = [
    ['a version that is to come', { v: 3 }, 'the linker speaks link protocol 3, this node 2'],
    ['versions that are to come', { v: 3, max: 4 }, 'the linker speaks link protocol 3 to 4, this node 2'],
    ['the version of 0.1', { v: 1 }, 'the linker speaks link protocol 1, this node 2'],
    ['no protocol version', { v: undefined }, 'without a protocol version'],
    ['versions in the wrong order', { v: 2, max: 1 }, 'without a protocol version'],
    ['a version that is no number', { v: { toString: 1, valueOf: 1 } }, 'without a protocol version'],
    ['a version of thousands of letters', { v: 'x'.repeat(3_900) }, 'without a protocol version'],
    ['an address that is none', { at: 'nowhere' }, 'malformed address'],
    ['an address of thousands of letters', { at: `${'x'.repeat(3_000)}:1` }, 'malformed address'],
    ['an address that is no text', { at: { toString: 1 } }, 'malformed address'],
    ['a route in upper case', { route: 'App' }, 'malformed route'],
    ['a route of 254 letters', { route: 'a'.repeat(254) }, 'malformed route'],
    ['a route that a command would take for an option', { route: '--privileged.shop.test' }, 'malformed route'],
    ['a route with empty labels and a star within', { route: 'a..*.shop.test' }, 'malformed route'],
    ['a route with a trailing dot', { route: 'shop.test.' }, 'malformed route'],
    ['a route with a star for a part of a label', { route: 'a*.shop.test' }, 'malformed route'],
    ['a route with a line break', { route: 'a\n' }, 'malformed route'],
    ['an empty instance id', { instance: '' }, 'malformed instance id'],
    ['an instance id of 65 letters', { instance: 'a'.repeat(65) }, 'malformed instance id'],
    ['a negative seq', { seq: -1 }, 'malformed seq'],
    ['a seq beyond what is exact', { seq: 2 ** 53 }, 'malformed seq'],
    ['no slots', { concurrency: 0 }, 'malformed concurrency'],
    ['half a slot', { concurrency: 0.5 }, 'malformed concurrency'],
    ['more than a million slots', { concurrency: 1_000_001 }, 'malformed concurrency'],
    ['a version with a line break', { version: '1.0\n' }, 'malformed version'],
    ['a version of 65 letters', { version: '1'.repeat(65) }, 'malformed version'],
    ['a start id of 65 letters', { startId: 'a'.repeat(65) }, 'malformed start id'],
    ['a nonce of 15 letters', { nonce: 'a'.repeat(15) }, 'without a nonce'],
  ];

  test.each(cases)('with %s is refused with words', async (_what, said, words) => {
    const sockets = await socketPair();
    const node = accept(sockets);
    const peer = new RawPeer(sockets.dialled);
    peer.sendJson(Frame.HELLO, { v: 2, ...HELLO, nonce: newNonce(), ...said });
    expect((await peer.takeJson(Frame.REFUSE)).reason).toContain(words);
    expect(await node.reason()).toContain(words);
  });

  test('with everything at its limit is taken', async () => {
    const hello: Hello = {
      route: `${'a.'.repeat(126)}a`,
      instance: 'a'.repeat(64),
      seq: 2 ** 53 - 1,
      concurrency: 1_000_000,
      startId: 'a'.repeat(64),
      version: '1'.repeat(64),
    };
    expect(await both({}, { hello })).toEqual({ node: `ready ${JSON.stringify(hello)}`, linker: 'ready n1' });
  });
});

describe('a CHALLENGE', () => {
  const cases: [string, Record<string, unknown>, string][] = [
    ['a version that was not offered', { v: 3 }, 'a protocol version that this linker knows'],
    ['no version', { v: undefined }, 'a protocol version that this linker knows'],
    ['the version of 0.1', { v: 1 }, 'the node speaks link protocol 1, this linker 2'],
    ['no node id', { node: undefined }, 'malformed CHALLENGE'],
    ['a node id of thousands of letters', { node: 'x'.repeat(3_000) }, 'malformed CHALLENGE'],
    ['a nonce that is no text', { nonce: {} }, 'malformed CHALLENGE'],
  ];

  test.each(cases)('with %s is refused with words', async (_what, said, words) => {
    const sockets = await socketPair();
    const linker = dial(sockets);
    const peer = new RawPeer(sockets.accepted);
    await peer.take(Frame.HELLO);
    peer.sendJson(Frame.CHALLENGE, { v: 2, node: 'n1', nonce: newNonce(), ...said });
    expect((await peer.takeJson(Frame.REFUSE)).reason).toContain(words);
    expect(await linker.reason()).toContain(words);
  });

  test('must come before WELCOME', async () => {
    const sockets = await socketPair();
    const linker = dial(sockets);
    new RawPeer(sockets.accepted).sendJson(Frame.WELCOME, {});
    expect(await linker.reason()).toContain('frame type 3 in the handshake');
  });
});

describe('a REFUSE', () => {
  test.each([
    ['of thousands of letters', { reason: 'x'.repeat(4_000) }, `refused by the peer: ${'x'.repeat(200)}`],
    ['without a reason', {}, 'refused by the peer: no reason given'],
    ['whose reason is no text', { reason: { toString: 1, valueOf: 1 } }, 'refused by the peer: no reason given'],
  ])('%s is reported in bounds, on either side', async (_what, refusal, reason) => {
    const [atNode, atLinker] = [await socketPair(), await socketPair()];
    const [node, linker] = [accept(atNode), dial(atLinker)];
    new RawPeer(atNode.dialled).sendJson(Frame.REFUSE, refusal);
    new RawPeer(atLinker.accepted).sendJson(Frame.REFUSE, refusal);
    expect(await node.reason()).toBe(reason);
    expect(await linker.reason()).toBe(reason);
  });

  test('gets through before the connection is closed', async () => {
    for (let times = 0; times < 20; times++) {
      const { linker } = await both({ secrets: () => [] }, {});
      expect(linker).toBe('refused by the peer: the linker has not proved a secret that counts for its route here');
    }
  });
});
