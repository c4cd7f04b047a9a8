import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Fields, neverIndexed, withNeverIndexed } from '../../../../src/node/http2/fields.ts';
import { HEAD_BYTES } from '../../../../src/node/http2/frames.ts';
import { type DecodedBlock, HpackDecoder } from '../../../../src/node/http2/hpack-decoder.ts';
import { headersFrame } from '../../../../src/node/http2/hpack-encoder.ts';
import { blocksOf } from '../../../support/hpack-blocks.ts';

const FIELDS_MAX = 200;
const BYTES_MAX = 65_536;

function newDecoder(): HpackDecoder {
  return new HpackDecoder(FIELDS_MAX, BYTES_MAX);
}

function decoded(decoder: HpackDecoder, block: Buffer): DecodedBlock {
  const said = decoder.decode(block, 0, block.length);
  if (said === null) throw new Error('no HPACK');
  return said;
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

/** The blocks of RFC 7541 appendices C.5 and C.6, but for the size of the table. */
const REQUESTS = [
  [
    '828684410f7777772e6578616d706c652e636f6d',
    '828684418cf1e3c2e5f23a6ba0ab90f4ff',
    [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'],
  ],
  [
    '828684be58086e6f2d6361636865',
    '828684be5886a8eb10649cbf',
    [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com', 'cache-control', 'no-cache'],
  ],
  [
    '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
    '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
    [':method', 'GET', ':scheme', 'https', ':path', '/index.html', ':authority', 'www.example.com', 'custom-key', 'custom-value'],
  ],
] as const;

describe('the decoder', () => {
  test('reads the requests of RFC 7541 appendix C, with and without Huffman code', () => {
    const [plain, coded] = [newDecoder(), newDecoder()];
    for (const [literal, huffman, fields] of REQUESTS) {
      expect(decoded(plain, hex(literal)).fields).toEqual(fields);
      expect(decoded(coded, hex(huffman)).fields).toEqual(fields);
    }
  });

  test('reads what nghttp2 writes, also what the table has from blocks before', async () => {
    const requests = Array.from({ length: 40 }, (_, i) => ({
      ':path': '/a?b=c',
      cookie: 'a=1',
      'x-all': Array.from({ length: 94 }, (_, at) => String.fromCharCode(33 + at)).join(''),
      'x-other': `${'value '.repeat(i * 10)}${i}`,
    }));
    const decoder = newDecoder();
    const blocks = await blocksOf(requests);
    for (const [i, block] of blocks.entries()) {
      const { fields, isMalformed, isTooLarge } = decoded(decoder, block);
      const { ':path': path, ...others } = requests[i] as Record<string, string>;
      expect([isMalformed, isTooLarge, fields[fields.indexOf(':path') + 1]]).toEqual([false, false, path]);
      expect(fields.slice(-6)).toEqual(Object.entries(others).flat());
    }
  });

  test.each([
    ['an index that nothing has', 'be'],
    ['index 0', '80'],
    ['a name with an index that nothing has', '7e 01 61'],
    ['a string beyond the end', '00 02 61'],
    ['a name and nothing more', '00 01 61'],
    ['half an integer', 'ff'],
    ['an integer without end', 'ff 80 80 80 80 80 80 01'],
    ['an integer beyond all tables', 'ff ff ff ff ff 07'],
    ['a table beyond what we offer', '3f e2 1f'],
    ['a change of the table behind a field', '82 20'],
    ['EOS within a string', '00 01 61 84 ff ff ff ff'],
    ['a string padded by zeros', '00 01 61 81 18'],
    ['a string padded by more than seven bits', '00 01 61 82 1f ff'],
  ])('%s is no HPACK', (_what, block) => {
    const bytes = hex(block);
    expect(newDecoder().decode(bytes, 0, bytes.length)).toBeNull();
  });

  test.each([
    ['a name with a capital', '40 01 41 01 61'],
    ['a name with a colon in the middle', '40 03 61 3a 61 01 61'],
    ['a name that is a colon', '40 01 3a 01 61'],
    ['no name', '40 00 01 61'],
    ['a value with a line feed', '40 01 61 01 0a'],
    ['a value with NUL', '40 01 61 01 00'],
    ['a value with a byte that ends ASCII', '40 01 61 01 7f'],
  ])('%s is malformed, also where it comes again out of the table', (_what, block) => {
    const decoder = newDecoder();
    expect(decoded(decoder, hex(block)).isMalformed).toBe(true);
    expect(decoded(decoder, hex('82')).isMalformed).toBe(false);
    expect(decoded(decoder, hex('be')).isMalformed).toBe(true);
  });

  test('a malformed name out of the table is malformed with another value', () => {
    const decoder = newDecoder();
    decoded(decoder, hex('40 01 41 01 61'));
    expect(decoded(decoder, hex('0f 2f 01 62')).isMalformed).toBe(true);
  });

  test('what is evicted from the table is no part of it', () => {
    const decoder = newDecoder();
    decoded(decoder, hex('40 01 61 01 78'));
    expect(decoded(decoder, hex('20 3f e1 1f 40 01 62 01 79')).fields).toEqual(['b', 'y']);
    expect(decoder.decode(hex('bf'), 0, 1)).toBeNull();
  });

  test('a block that says one large field over and over is too large, and costs what it may cost', () => {
    const decoder = newDecoder();
    const value = Buffer.alloc(4_000, 'x');
    decoded(decoder, Buffer.concat([hex('40 01 61 7f a1 1e'), value]));
    const { fields, isTooLarge } = decoded(decoder, Buffer.alloc(16_000, 0xbe));
    expect([isTooLarge, fields.length / 2]).toEqual([true, Math.floor(BYTES_MAX / (4_001 + 32))]);
  });

  test('a block of more fields than it may have is too large, and the table is still that of the peer', () => {
    const decoder = newDecoder();
    const block = Buffer.concat([Buffer.alloc(FIELDS_MAX + 1, 0x82), hex('40 01 61 01 78')]);
    const { fields, isTooLarge } = decoded(decoder, block);
    expect([isTooLarge, fields.length / 2]).toEqual([true, FIELDS_MAX]);
    expect(decoded(decoder, hex('be')).fields).toEqual(['a', 'x']);
  });

  test('any bytes are read to their end', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (blocks) => {
        const decoder = newDecoder();
        for (const block of blocks) decoder.decode(Buffer.from(block), 0, block.length);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('the encoder', () => {
  const text = fc.string({
    unit: fc.integer({ min: 32, max: 255 }).map((byte) => String.fromCharCode(byte === 127 ? 126 : byte)),
    maxLength: 300,
  });
  const name = fc.constantFrom(':status', ':method', ':path', 'content-type', 'accept-encoding', 'x-a', 'grpc-status', '__proto__', 'date');

  test('writes what the decoder reads', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, text), { maxLength: 30 }), (pairs) => {
        const fields = pairs.flat();
        const frame = headersFrame(1, fields, false, true);
        expect(decoded(newDecoder(), frame.subarray(HEAD_BYTES))).toEqual({ fields, isMalformed: false, isTooLarge: false });
      }),
      { numRuns: 1_000 },
    );
  });

  test('never puts a field into a table that the peer said no hop may keep', () => {
    const fields = withNeverIndexed(['authorization', 'secret', 'x-a', 'b'], ['authorization', 'x-a']);
    const frame = headersFrame(1, fields, false, false);
    const said = decoded(newDecoder(), frame.subarray(HEAD_BYTES)).fields;
    expect([[...said], neverIndexed(said)]).toEqual([[...fields], ['authorization', 'x-a']]);
  });

  test('cuts a block that is larger than a frame', () => {
    const fields: Fields = ['x-a', 'a'.repeat(40_000), 'x-b', 'b'];
    const bytes = headersFrame(7, fields, true, true);
    const frames: { type: number; flags: number; stream: number; payload: Buffer }[] = [];
    for (let at = 0; at < bytes.length; ) {
      const length = bytes.readUIntBE(at, 3);
      const payload = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
      frames.push({ type: bytes[at + 3] as number, flags: bytes[at + 4] as number, stream: bytes.readUInt32BE(at + 5), payload });
      at += HEAD_BYTES + length;
    }
    expect(frames.map(({ type, flags, stream, payload }) => [type, flags, stream, payload.length <= 16_384])).toEqual([
      [1, 1, 7, true],
      [9, 0, 7, true],
      [9, 4, 7, true],
    ]);
    expect(decoded(newDecoder(), Buffer.concat(frames.map(({ payload }) => payload))).fields).toEqual(fields);
  });
});
