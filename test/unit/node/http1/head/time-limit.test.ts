import { describe, expect, test } from '@jest/globals';
import { deadlineHeader } from '../../../../../src/config/deadline-header.ts';
import { timeLeft, timeLimitsOf, withFields } from '../../../../../src/node/http1/head/time-limit.ts';
import { nextRequest } from '../../../../../src/node/http1/next-request.ts';

const START = 'GET / HTTP/1.1\r\nHost: a';

function limits(lines: string, header: string | null) {
  const bytes = Buffer.from(`${START}\r\n${lines}\r\n`, 'latin1');
  const next = nextRequest(bytes, 4_096, { origin: { address: '192.0.2.1', text: '' }, proto: 'http' });
  if (next.kind !== 'complete') throw new Error(next.kind);
  return { bytes, found: timeLimitsOf(next.head, header) };
}

describe('what a request says of its time', () => {
  test.each<[string, string | null, number[]]>([
    ['grpc-timeout: 250m\r\n', null, [250]],
    ['Grpc-Timeout: 2S\r\n', null, [2_000]],
    ['grpc-timeout: 1H\r\n', null, [3_600_000]],
    ['grpc-timeout: 1M\r\n', null, [60_000]],
    ['grpc-timeout: 500u\r\n', null, [0.5]],
    ['grpc-timeout: 99999999n\r\n', null, [99.999999]],
    ['grpc-timeout: 0m\r\n', null, [0]],
    ['grpc-timeout: 100000000m\r\n', null, []],
    ['grpc-timeout: 250\r\n', null, []],
    ['grpc-timeout: -1m\r\n', null, []],
    ['X-Timeout: 250\r\n', 'x-timeout', [250]],
    ['X-Timeout: 1.5s\r\n', 'x-timeout', [1_500]],
    ['X-Timeout: 2m\r\n', 'x-timeout', [120_000]],
    ['X-Timeout: 250ms\r\n', 'x-timeout', [250]],
    ['X-Timeout: 0\r\n', 'x-timeout', [0]],
    ['X-Timeout: \r\n', 'x-timeout', []],
    ['X-Timeout: 1e9\r\n', 'x-timeout', []],
    ['X-Timeout: 9999999999999\r\n', 'x-timeout', []],
    ['X-Timeout: soon\r\n', 'x-timeout', []],
    ['X-Timeout: 250\r\n', null, []],
    ['X-Timeout-Other: 250\r\n', 'x-timeout', []],
    ['X-Timeout: 100\r\nx-timeout: 900\r\n', 'x-timeout', [100]],
    ['X-Timeout: 100\r\ngrpc-timeout: 1S\r\n', 'x-timeout', [1_000, 100]],
    ['grpc-timeout: 1S\r\n', 'grpc-timeout', [1_000]],
  ])('%j with the header %j is %j', (lines, header, expected) => {
    expect(limits(lines, header).found.map(({ ms }) => ms)).toEqual(expected);
  });

  test.each<[string, string, number, string]>([
    ['grpc-timeout: 250m\r\n', 'grpc-timeout', 100, 'grpc-timeout: 150000u'],
    ['grpc-timeout: 1H\r\n', 'grpc-timeout', 1_000, 'grpc-timeout: 3599000m'],
    ['grpc-timeout: 99999999H\r\n', 'grpc-timeout', 0, 'grpc-timeout: 99999999S'],
    ['grpc-timeout: 1m\r\n', 'grpc-timeout', 5, 'grpc-timeout: 1u'],
    ['X-Timeout: 250\r\n', 'x-timeout', 100.4, 'x-timeout: 149'],
    ['X-Timeout: 250ms\r\n', 'x-timeout', 100, 'x-timeout: 150ms'],
    ['X-Timeout: 2m\r\n', 'x-timeout', 500, 'x-timeout: 119.5s'],
    ['X-Timeout: 2\r\nx-timeout: 900\r\n', 'x-timeout', 5, 'x-timeout: 1'],
  ])('%j after so many ms is said again once', (lines, header, passedMs, expected) => {
    const { bytes, found } = limits(`A: 1\r\n${lines}B: 2\r\n`, header);
    const body = Buffer.from('x-timeout: 7\r\n\r\nbody');
    const said = withFields(Buffer.concat([bytes, body]), timeLeft(found, passedMs)).toString('latin1');
    expect(said).toBe(`${START}\r\nA: 1\r\nB: 2\r\n${expected}\r\n\r\n${body.toString()}`);
  });

  test.each(['header:X-Timeout', 'header:grpc-timeout'])('%s may be named', (value) => {
    expect(deadlineHeader.read(value)).toBe(value.slice('header:'.length).toLowerCase());
  });

  test.each([
    'X-Timeout',
    'header:',
    'header:a b',
    'header:Content-Length',
    'header:host',
    'header:X-Forwarded-For',
    `header:${'a'.repeat(65)}`,
    7,
  ])('%j may not', (value) => expect(deadlineHeader.read(value)).toBeNull());
});
