/** Frames that a peer of HTTP/2 has no reason to send: each type malformed in each way, and well-formed ones where they do not belong. */
import { block, Flag, frameBytes, requestBlock, settings, Type, uint32 } from './http2-frames.ts';

/** A frame on `stream`, which is in whatever state the test has brought it to. */
export type OddFrame = readonly [what: string, bytes: (stream: number) => Buffer];

const { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION } = Type;
const { END_STREAM, ACK, END_HEADERS, PADDED } = Flag;
const WHOLE = END_HEADERS | END_STREAM;
const x = (bytes: number): Buffer => Buffer.alloc(bytes, 'x');
const pseudo = (...fields: (readonly [string, string])[]): Buffer => block(fields);
const REQUEST = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'app.test'],
] as const;

/** Bytes that are sent behind it are a part of it. */
export const SWALLOWING = 'half a frame';

const DATAS: readonly OddFrame[] = [
  ['DATA', (id) => frameBytes(DATA, 0, id, x(10))],
  ['DATA that ends the stream', (id) => frameBytes(DATA, END_STREAM, id, x(10))],
  ['DATA twice at its end', (id) => Buffer.concat([frameBytes(DATA, END_STREAM, id, x(10)), frameBytes(DATA, END_STREAM, id, x(10))])],
  ['empty DATA', (id) => frameBytes(DATA, 0, id)],
  ['DATA of the connection', () => frameBytes(DATA, 0, 0, x(10))],
  ['DATA of an idle stream', (id) => frameBytes(DATA, 0, id + 100, x(10))],
  ['DATA of an even stream', () => frameBytes(DATA, 0, 2, x(10))],
  ['DATA that is padding beyond its end', (id) => frameBytes(DATA, PADDED, id, Buffer.from([200, 1, 2]))],
  ['DATA that says it is padded and is empty', (id) => frameBytes(DATA, PADDED, id)],
  ['DATA that is larger than allowed', (id) => frameBytes(DATA, 0, id, x(16_385))],
  ['DATA with all flags', (id) => frameBytes(DATA, 0xff, id, Buffer.from([1, 2, 3]))],
];

const HEAD: readonly OddFrame[] = [
  ['a second head', (id) => frameBytes(HEADERS, END_HEADERS, id, requestBlock())],
  ['trailers', (id) => frameBytes(HEADERS, WHOLE, id, block([['x-sum', '1']]))],
  ['trailers that do not end', (id) => frameBytes(HEADERS, END_HEADERS, id, block([['x-sum', '1']]))],
  ['trailers with pseudo-fields', (id) => frameBytes(HEADERS, WHOLE, id, block([[':path', '/']]))],
  ['a head of the connection', () => frameBytes(HEADERS, WHOLE, 0, requestBlock())],
  ['a head of an even stream', () => frameBytes(HEADERS, WHOLE, 2, requestBlock())],
  ['a head without fields', (id) => frameBytes(HEADERS, WHOLE, id + 2)],
  [
    'a head that is no compressed block',
    (id) => frameBytes(HEADERS, WHOLE, id + 2, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
  ],
  ['a head with an index beyond the table', (id) => frameBytes(HEADERS, WHOLE, id + 2, Buffer.from([0xfe]))],
  ['a head that ends in the middle of a field', (id) => frameBytes(HEADERS, WHOLE, id + 2, requestBlock().subarray(0, -4))],
  [
    'a head with a table size update at its end',
    (id) => frameBytes(HEADERS, WHOLE, id + 2, Buffer.concat([requestBlock(), Buffer.from([0x20])])),
  ],
  ['a head with a table of 2^31 bytes', (id) => frameBytes(HEADERS, WHOLE, id + 2, Buffer.from([0x3f, 0xe1, 0xff, 0xff, 0xff, 0x07]))],
  [
    'a head that depends on itself',
    (id) => frameBytes(HEADERS, WHOLE | Flag.PRIORITY, id + 2, Buffer.concat([uint32(id + 2), Buffer.from([1]), requestBlock()])),
  ],
  ['a head that is padding beyond its end', (id) => frameBytes(HEADERS, WHOLE | PADDED, id + 2, Buffer.from([255, 0]))],
  ['a head too short for its priority', (id) => frameBytes(HEADERS, WHOLE | Flag.PRIORITY, id + 2, x(3))],
  ['a head that never ends', (id) => frameBytes(HEADERS, END_STREAM, id + 2, requestBlock())],
  [
    'a head with another frame inside',
    (id) => Buffer.concat([frameBytes(HEADERS, END_STREAM, id + 2, requestBlock()), frameBytes(PING, 0, 0, x(8))]),
  ],
  ['a head with unknown pseudo-fields', (id) => frameBytes(HEADERS, WHOLE, id + 2, pseudo(...REQUEST, [':unknown', '1']))],
  ['a head with pseudo-fields at its end', (id) => frameBytes(HEADERS, WHOLE, id + 2, pseudo(['x', '1'], ...REQUEST))],
  ['a head with a field twice that is there once', (id) => frameBytes(HEADERS, WHOLE, id + 2, pseudo(...REQUEST, [':path', '/other']))],
  ['an answer', (id) => frameBytes(HEADERS, WHOLE, id + 2, pseudo([':status', '200']))],
  ['a head with capitals', (id) => frameBytes(HEADERS, WHOLE, id + 2, pseudo(...REQUEST, ['X-Upper', '1']))],
  ['a head with an empty name', (id) => frameBytes(HEADERS, WHOLE, id + 2, pseudo(...REQUEST, ['', '1']))],
  ['a head with NUL and line breaks', (id) => frameBytes(HEADERS, WHOLE, id + 2, pseudo(...REQUEST, ['x', 'a\r\nb: c\0']))],
  ['a head with a name of 60 KB', (id) => continued(id + 2, pseudo(...REQUEST, ['x'.repeat(60_000), '1']))],
  ['a head with a value of 60 KB', (id) => continued(id + 2, pseudo(...REQUEST, ['x', 'y'.repeat(60_000)]))],
  ['a head with connection fields', (id) => frameBytes(HEADERS, WHOLE, id + 2, pseudo(...REQUEST, ['connection', 'close']))],
  ['a head with an empty path', (id) => frameBytes(HEADERS, WHOLE, id + 2, requestBlock({ ':path': '' }))],
  ['a head with an empty authority', (id) => frameBytes(HEADERS, WHOLE, id + 2, requestBlock({ ':authority': '' }))],
  ['a CONNECT', (id) => frameBytes(HEADERS, END_HEADERS, id + 2, pseudo([':method', 'CONNECT'], [':authority', 'app.test:443']))],
  [
    'an extended CONNECT',
    (id) => frameBytes(HEADERS, END_HEADERS, id + 2, pseudo([':method', 'CONNECT'], [':protocol', 'websocket'], ...REQUEST.slice(1))),
  ],
  [
    'a head of another length than its body',
    (id) =>
      Buffer.concat([
        frameBytes(HEADERS, END_HEADERS, id + 2, pseudo(...REQUEST, ['content-length', '5'])),
        frameBytes(DATA, END_STREAM, id + 2, x(3)),
      ]),
  ],
  [
    'a head of less than its body',
    (id) =>
      Buffer.concat([
        frameBytes(HEADERS, END_HEADERS, id + 2, pseudo(...REQUEST, ['content-length', '5'])),
        frameBytes(DATA, END_STREAM, id + 2, x(9)),
      ]),
  ],
  ['a head of an endless length', (id) => frameBytes(HEADERS, END_HEADERS, id + 2, pseudo(...REQUEST, ['content-length', '9'.repeat(30)]))],
  ['a CONTINUATION of nothing', (id) => frameBytes(CONTINUATION, END_HEADERS, id, block([['x', '1']]))],
  ['a CONTINUATION of the connection', () => frameBytes(CONTINUATION, END_HEADERS, 0)],
  [
    'empty CONTINUATIONs',
    (id) =>
      Buffer.concat([
        frameBytes(HEADERS, END_STREAM, id + 2, requestBlock()),
        ...Array.from({ length: 100 }, () => frameBytes(CONTINUATION, 0, id + 2)),
        frameBytes(CONTINUATION, END_HEADERS, id + 2),
      ]),
  ],
  ['a PUSH_PROMISE', (id) => frameBytes(PUSH_PROMISE, END_HEADERS, id, Buffer.concat([uint32(2), requestBlock()]))],
  ['a PUSH_PROMISE of the connection', () => frameBytes(PUSH_PROMISE, END_HEADERS, 0, Buffer.concat([uint32(4), requestBlock()]))],
];

const OTHERS: readonly OddFrame[] = [
  ['a PRIORITY', (id) => frameBytes(PRIORITY, 0, id, Buffer.concat([uint32(0), Buffer.from([1])]))],
  ['a PRIORITY of itself', (id) => frameBytes(PRIORITY, 0, id, Buffer.concat([uint32(id), Buffer.from([1])]))],
  ['a PRIORITY of 4 bytes', (id) => frameBytes(PRIORITY, 0, id, x(4))],
  ['a PRIORITY of the connection', () => frameBytes(PRIORITY, 0, 0, Buffer.concat([uint32(1), Buffer.from([1])]))],
  ['a PRIORITY of an idle stream', (id) => frameBytes(PRIORITY, 0, id + 100, Buffer.concat([uint32(0), Buffer.from([1])]))],
  ['a RST_STREAM', (id) => frameBytes(RST_STREAM, 0, id, uint32(0))],
  ['a RST_STREAM twice', (id) => Buffer.concat([frameBytes(RST_STREAM, 0, id, uint32(8)), frameBytes(RST_STREAM, 0, id, uint32(0))])],
  ['a RST_STREAM of 3 bytes', (id) => frameBytes(RST_STREAM, 0, id, x(3))],
  ['a RST_STREAM of the connection', () => frameBytes(RST_STREAM, 0, 0, uint32(8))],
  ['a RST_STREAM of an idle stream', (id) => frameBytes(RST_STREAM, 0, id + 100, uint32(8))],
  ['SETTINGS', () => frameBytes(SETTINGS, 0, 0, settings([4, 1], [5, 20_000], [1, 0], [3, 0], [6, 0]))],
  ['SETTINGS of 5 bytes', () => frameBytes(SETTINGS, 0, 0, x(5))],
  ['SETTINGS of a stream', (id) => frameBytes(SETTINGS, 0, id)],
  ['SETTINGS that acknowledge and say something', () => frameBytes(SETTINGS, ACK, 0, settings([4, 1]))],
  ['SETTINGS that acknowledge what was not said', () => frameBytes(SETTINGS, ACK, 0)],
  ['SETTINGS of too large a window', () => frameBytes(SETTINGS, 0, 0, settings([4, 0x8000_0000]))],
  ['SETTINGS of too small a frame', () => frameBytes(SETTINGS, 0, 0, settings([5, 1]))],
  ['SETTINGS of too large a frame', () => frameBytes(SETTINGS, 0, 0, settings([5, 0x0100_0000]))],
  ['SETTINGS that push by 2', () => frameBytes(SETTINGS, 0, 0, settings([2, 2]))],
  ['SETTINGS of extended CONNECT by 2', () => frameBytes(SETTINGS, 0, 0, settings([8, 2]))],
  ['SETTINGS of the largest table', () => frameBytes(SETTINGS, 0, 0, settings([1, 0xffff_ffff]))],
  ['SETTINGS of unknown numbers', () => frameBytes(SETTINGS, 0, 0, settings([0, 1], [7, 1], [9, 1], [0xffff, 0xffff_ffff]))],
  [
    'a window that overflows by SETTINGS',
    (id) => Buffer.concat([frameBytes(WINDOW_UPDATE, 0, id, uint32(0x7fff_0000)), frameBytes(SETTINGS, 0, 0, settings([4, 0x7fff_ffff]))]),
  ],
  ['a PING of 7 bytes', () => frameBytes(PING, 0, 0, x(7))],
  ['a PING of a stream', (id) => frameBytes(PING, 0, id, x(8))],
  ['an answer to no PING', () => frameBytes(PING, ACK, 0, x(8))],
  ['a GOAWAY', () => frameBytes(GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(0)]))],
  ['a GOAWAY with an unknown error', () => frameBytes(GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(0xffff_ffff), x(100)]))],
  ['a GOAWAY of 7 bytes', () => frameBytes(GOAWAY, 0, 0, x(7))],
  ['a GOAWAY of a stream', (id) => frameBytes(GOAWAY, 0, id, x(8))],
  [
    'a GOAWAY twice, and then more',
    () => Buffer.concat([0x7fff_ffff, 0, 5].map((last) => frameBytes(GOAWAY, 0, 0, Buffer.concat([uint32(last), uint32(0)])))),
  ],
  ['a WINDOW_UPDATE of 0', (id) => frameBytes(WINDOW_UPDATE, 0, id, uint32(0))],
  ['a WINDOW_UPDATE of 0 for the connection', () => frameBytes(WINDOW_UPDATE, 0, 0, uint32(0))],
  ['a WINDOW_UPDATE that overflows', (id) => frameBytes(WINDOW_UPDATE, 0, id, uint32(0x7fff_ffff))],
  ['a WINDOW_UPDATE that overflows the connection', () => frameBytes(WINDOW_UPDATE, 0, 0, uint32(0x7fff_ffff))],
  ['a WINDOW_UPDATE of 3 bytes', (id) => frameBytes(WINDOW_UPDATE, 0, id, x(3))],
  ['a WINDOW_UPDATE of an idle stream', (id) => frameBytes(WINDOW_UPDATE, 0, id + 100, uint32(1))],
  ['an ALTSVC', (id) => frameBytes(Type.ALTSVC, 0, id, Buffer.concat([Buffer.from([0, 0]), Buffer.from('h2=":443"')]))],
  ['a malformed ALTSVC', () => frameBytes(Type.ALTSVC, 0, 0, Buffer.from([255, 255, 1]))],
  ['an ORIGIN', () => frameBytes(Type.ORIGIN, 0, 0, Buffer.concat([Buffer.from([0, 14]), Buffer.from('https://a.test')]))],
  ['a malformed ORIGIN', () => frameBytes(Type.ORIGIN, 0, 0, Buffer.from([255, 255, 1]))],
  ['a PRIORITY_UPDATE', (id) => frameBytes(Type.PRIORITY_UPDATE, 0, 0, Buffer.concat([uint32(id), Buffer.from('u=1, i')]))],
  ['a PRIORITY_UPDATE of 2 bytes', (id) => frameBytes(Type.PRIORITY_UPDATE, 0, id, x(2))],
  ['a frame of no known type', (id) => frameBytes(0xee, 0xff, id, x(100))],
  ['a reserved bit', (id) => frameBytes(PING, 0, 0x8000_0000, x(8 * (id > 0 ? 1 : 0)))],
  [SWALLOWING, (id) => frameBytes(DATA, 0, id, x(100)).subarray(0, 50)],
  ['what is no frame', () => Buffer.from('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n')],
  ['a frame of 16 MB', (id) => frameBytes(DATA, 0, id).fill(0xff, 0, 3)],
  ['nothing but 0xff', () => Buffer.alloc(1_000, 0xff)],
  ['nothing but zeros', () => Buffer.alloc(1_000)],
];

export const ODD_FRAMES: readonly OddFrame[] = [...DATAS, ...HEAD, ...OTHERS];

function continued(stream: number, fields: Buffer): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < fields.length; at += 16_384) {
    const last = at + 16_384 >= fields.length ? END_HEADERS : 0;
    const piece = fields.subarray(at, at + 16_384);
    frames.push(at === 0 ? frameBytes(HEADERS, last | END_STREAM, stream, piece) : frameBytes(CONTINUATION, last, stream, piece));
  }
  return Buffer.concat(frames);
}
