import { describe, expect, test } from '@jest/globals';
import { areRegular } from '../../../../src/node/http2/fields.ts';
import { contentLengthOf, judgeBlock, judgeHead } from '../../../../src/node/http2/request-fields.ts';

const HEAD = [':method', 'GET', ':scheme', 'https', ':path', '/', ':authority', 'app.test'];

/** HEAD with one of its fields changed, or left out. */
function headWith(name: string, value: string | null): string[] {
  const at = HEAD.indexOf(name);
  return value === null ? HEAD.toSpliced(at, 2) : HEAD.with(at + 1, value);
}

describe('a head of HTTP/2', () => {
  test.each([
    ['the usual one', HEAD],
    ['without an authority', headWith(':authority', null)],
    ['with a method that has no name', headWith(':method', 'X-Y')],
    ['with bytes beyond ASCII in its path', headWith(':path', '/\xe4')],
    ['that asks for options of the server', [':method', 'OPTIONS', ':scheme', 'http', ':path', '*', ':authority', 'a']],
    ['that asks for a tunnel', [':method', 'CONNECT', ':authority', 'a:443']],
    ['with te: trailers', [...HEAD, 'te', 'Trailers']],
    ['with a length', [...HEAD, 'content-length', '5']],
    ['with fields that repeat', [...HEAD, 'x-a', '1', 'x-a', '2']],
  ])('%s is fine', (_what, fields) => {
    expect(judgeHead(fields)).toBe('fine');
  });

  test.each([
    ['nothing', []],
    ['no method', headWith(':method', null)],
    ['no scheme', headWith(':scheme', null)],
    ['no path', headWith(':path', null)],
    ['an empty path', headWith(':path', '')],
    ['a path that begins with no slash', headWith(':path', 'a')],
    ['a path with a space', headWith(':path', '/a b')],
    ['* of another method than OPTIONS', headWith(':path', '*')],
    ['a method that is no token', headWith(':method', 'GE T')],
    ['a scheme that is none', headWith(':scheme', '1:')],
    ['an authority with user information', headWith(':authority', 'a@b')],
    ['an authority with a space', headWith(':authority', 'a b')],
    ['a pseudo-field twice', [':method', 'GET', ...HEAD]],
    ['a pseudo-field that nobody knows', [':x', 'y', ...HEAD]],
    ['a pseudo-field of answers', [':status', '200', ...HEAD]],
    ['a pseudo-field of extended CONNECT', [...HEAD.with(1, 'CONNECT'), ':protocol', 'websocket']],
    ['a pseudo-field behind a field', [...headWith(':path', null), 'x-a', 'b', ':path', '/']],
    ['CONNECT with a path', HEAD.with(1, 'CONNECT')],
    ['connection', [...HEAD, 'connection', 'close']],
    ['keep-alive', [...HEAD, 'keep-alive', '5']],
    ['proxy-connection', [...HEAD, 'proxy-connection', 'close']],
    ['transfer-encoding', [...HEAD, 'transfer-encoding', 'chunked']],
    ['upgrade', [...HEAD, 'upgrade', 'websocket']],
    ['te: gzip', [...HEAD, 'te', 'gzip']],
    ['two lengths', [...HEAD, 'content-length', '5', 'content-length', '5']],
    ['a length that is none', [...HEAD, 'content-length', '+5']],
    ['a length beyond all numbers', [...HEAD, 'content-length', '1'.repeat(16)]],
  ])('with %s resets its stream', (_what, fields) => {
    expect(judgeHead(fields)).toBe('reset');
  });

  test('with a name in upper case resets its stream, and is answered where a byte is wrong that no name has', () => {
    const block = { isMalformed: true, isTooLarge: false };
    expect(judgeBlock({ ...block, fields: [...HEAD, 'X-Upper', 'x'] })).toBe('reset');
    expect(judgeBlock({ ...block, fields: [...HEAD, 'x y', 'X'] })).toBe('refuse');
    expect(judgeBlock({ ...block, isMalformed: false, isTooLarge: true, fields: HEAD })).toBe('refuse');
  });

  test('with a host that is none is answered', () => {
    expect(judgeHead([...HEAD, 'host', 'a b'])).toBe('refuse');
  });

  test('says its length', () => {
    expect([contentLengthOf(HEAD), contentLengthOf([...HEAD, 'content-length', '007'])]).toEqual([-1, 7]);
  });
});

test.each([
  [['x-sum', '1'], true],
  [['x-sum', '1', ':path', '/'], false],
  [['upgrade', 'h2c'], false],
])('trailers may be %j: %j', (fields, may) => {
  expect(areRegular(fields, 0)).toBe(may);
});
