import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { HpackScanner } from '../../../../src/node/http2/hpack-scanner.ts';
import { huffman } from '../../../../src/node/http2/huffman.ts';
import { blocksOf } from '../../../support/hpack-blocks.ts';

function scan(scanner: HpackScanner, block: Uint8Array, pieceBytes = block.length): void {
  scanner.begin();
  for (let at = 0; at < block.length; at += pieceBytes) scanner.take(block, at, Math.min(block.length, at + pieceBytes));
  scanner.end();
}

/** A literal field (RFC 7541 section 6.2); `inserts`: it goes into the dynamic table. */
function literal(name: string, value: string, inserts = false): Buffer {
  const bytes = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]);
  return Buffer.concat([Buffer.from([inserts ? 0x40 : 0]), bytes(name), bytes(value)]);
}

describe('header blocks of a real client', () => {
  const headers = {
    ':path': '/a?b=c',
    cookie: 'a=1; b=2',
    'content-length': '12345',
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    'x-all': Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).join(''),
  };

  test.each([1, 3, 7, 10_000])('are fine, also with what the table has from the ones before, in pieces of %i bytes', async (pieceBytes) => {
    const requests = Array.from({ length: 40 }, (_, i) => ({ ...headers, 'x-other': `${'value '.repeat(i * 10)}${i}` }));
    const scanner = new HpackScanner();
    for (const block of await blocksOf(requests)) {
      scan(scanner, block, pieceBytes);
      expect([scanner.malformed, scanner.broken, scanner.contentLength]).toEqual([false, false, 12_345]);
    }
  });
});

describe('a field is malformed', () => {
  test.each([
    ['without a name', '', 'x'],
    ['with a space in its name', 'a b', 'x'],
    ['with an upper-case letter in its name', 'X-a', 'x'],
    ['with a colon in its name', 'a:b', 'x'],
    ['with a control byte in its name', 'a\x01', 'x'],
    ['with a byte beyond ASCII in its name', 'a\xe4', 'x'],
    ['with NUL in its value', 'a', 'x\0y'],
    ['with CR in its value', 'a', 'x\ry'],
    ['with LF in its value', 'a', 'x\ny'],
    ['with a control byte in its value', 'a', '\x7f'],
    ['that is a host with a space', 'host', 'a b'],
  ])('%s, also where it comes again out of the table', (_what, name, value) => {
    const scanner = new HpackScanner();
    scan(scanner, literal(name, value, true));
    expect(scanner.malformed).toBe(true);
    scan(scanner, literal('a', 'x'));
    expect(scanner.malformed).toBe(false);
    scan(scanner, Buffer.from([0x80 | 62]));
    expect([scanner.malformed, scanner.broken]).toEqual([true, false]);
  });

  test('with a malformed name out of the table', () => {
    const scanner = new HpackScanner();
    scan(scanner, literal('A', 'x', true));
    scan(scanner, Buffer.from([0x0f, 62 - 15, 1, 120]));
    expect(scanner.malformed).toBe(true);
  });

  test('not with white space around its value, tabs, or bytes beyond ASCII in it', () => {
    const scanner = new HpackScanner();
    scan(scanner, Buffer.concat([literal('a', ' x '), literal('b', 'x\ty'), literal('c', '\xe4'), literal(':path', '/')]));
    expect(scanner.malformed).toBe(false);
  });
});

test('what is evicted from the table, or was never there, breaks the block', () => {
  const scanner = new HpackScanner();
  scan(scanner, Buffer.from([0x80 | 62]));
  expect(scanner.broken).toBe(true);
  const other = new HpackScanner();
  scan(other, literal('a', 'x', true));
  // The table is made empty, and may be filled again.
  scan(other, Buffer.concat([Buffer.from([0x20, 0x3f, 0xe1, 0x1f]), literal('b', 'y', true)]));
  expect(other.broken).toBe(false);
  scan(other, Buffer.from([0x80 | 63]));
  expect(other.broken).toBe(true);
});

test('any bytes are read to their end, in whatever pieces, with the same result', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), fc.integer({ min: 1, max: 9 }), (blocks, pieceBytes) => {
      const [whole, cut] = [new HpackScanner(), new HpackScanner()];
      for (const block of blocks) {
        scan(whole, block);
        scan(cut, block, pieceBytes);
        expect([cut.malformed, cut.broken, cut.contentLength]).toEqual([whole.malformed, whole.broken, whole.contentLength]);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('the Huffman code is the one of RFC 7541 appendix C.4.1', () => {
  let code = 0;
  let text = '';
  for (const byte of Buffer.from('f1e3c2e5f23a6ba0ab90f4ff', 'hex')) {
    for (const bits of [byte >> 4, byte & 15]) {
      const symbol = huffman.symbol[code * 16 + bits] as number;
      if (symbol >= 0) text += String.fromCharCode(symbol);
      code = huffman.next[code * 16 + bits] as number;
    }
  }
  expect(text).toBe('www.example.com');
});
