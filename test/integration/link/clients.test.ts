/** A linker that asked for it hears whose each stream is; others hear nothing of it. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { clientText } from '../../../src/link/client-ends.ts';
import { Flag, Frame } from '../../../src/link/frames.ts';
import { HELLO, lent, linkerAndRawNode, nodeAndRawLinker, opened, Recorder } from '../../support/harness/link-pair.ts';
import { destroySockets, EMPTY, u32, until } from '../../support/harness/link-wire.ts';

const CLIENT = '192.0.2.7 4660 127.0.0.1 80';

afterEach(destroySockets);

test.each([
  ['an address that is not known', { address: 'unknown' }],
  ['two families', { address: '::1' }],
  ['a zone', { address: 'fe80::1%lo', toAddress: 'fe80::2' }],
])('nothing is said of a connection with %s', (_what, ends) => {
  expect(clientText({ port: 1, toAddress: '127.0.0.1', toPort: 2, ...ends })).toBe('');
});

describe('a node', () => {
  test('tells a linker that asked whose its streams are', async () => {
    const { node, peer } = await nodeAndRawLinker({ hello: { ...HELLO, tellClients: true } });
    peer.send(Frame.GRANT, u32(2));
    await until(() => node.link.idle === 2);
    node.link.open(new Recorder(), Flag.NONE, EMPTY, CLIENT);
    node.link.open(new Recorder(), Flag.NONE, EMPTY);
    await until(() => peer.frames.filter(({ type }) => type === Frame.OPEN).length === 2);
    const told = peer.frames.filter(({ type }) => type === Frame.CLIENT || type === Frame.OPEN);
    expect(told.map(({ type, streamId, payload }) => [type, streamId, payload.toString()])).toEqual([
      [Frame.CLIENT, 1, CLIENT],
      [Frame.OPEN, 1, ''],
      [Frame.OPEN, 2, ''],
    ]);
  });

  test('tells one that did not ask nothing: an older one would not understand it', async () => {
    const { node, linker } = await lent(1);
    node.link.open(new Recorder(), Flag.NONE, EMPTY, CLIENT);
    expect((await opened(linker)).stream.client).toBe('');
  });
});

describe('a linker', () => {
  test('takes what was said of one stream for no other', async () => {
    const { linker, peer } = await linkerAndRawNode();
    linker.link.grant(3);
    peer.send(Frame.CLIENT, Buffer.from(CLIENT), 1);
    for (const streamId of [1, 2]) peer.send(Frame.OPEN, EMPTY, streamId);
    peer.send(Frame.CLIENT, Buffer.from(CLIENT), 4);
    peer.send(Frame.OPEN, EMPTY, 3);
    await opened(linker, 3);
    expect(linker.opened.map(({ stream }) => stream.client)).toEqual([CLIENT, '', '']);
  });

  test.each([
    '',
    'x',
    `${CLIENT} `,
    '192.0.2.7 4660 ::1 80',
    '192.0.2.7 65536 127.0.0.1 80',
    '192.0.2.7 04 127.0.0.1 80',
    'fe80::1%lo 1 ::1 2',
  ])('hangs up on %j', async (text) => {
    const { linker, peer } = await linkerAndRawNode();
    peer.send(Frame.CLIENT, Buffer.from(text), 1);
    await until(() => linker.downs.length > 0);
    expect(linker.downs).toEqual(['protocol error: CLIENT without the two ends of a connection']);
  });
});
