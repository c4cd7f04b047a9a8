import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import pino from 'pino';
import { Relays } from '../../../../src/node/handoff/relays.ts';
import { lender } from '../../../support/harness/stand-ins.ts';

const ROUTE = 'app.example.com';
const [ADDRESS, OTHER] = ['192.0.2.1:9080', '192.0.2.2:9080'];

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

function relays(): Relays {
  return new Relays({ secret: () => 's', log: pino({ level: 'silent' }) });
}

test('a linker that failed to reach a node is not asked again for 30 s; for that node, and that linker', () => {
  const all = relays();
  const [one, two] = [lender(1, 1), lender(2, 1)];
  expect(all.needed(ROUTE, one, ADDRESS)).toBe(false);
  all.markUnreachable(ROUTE, one, ADDRESS);
  expect([all.needed(ROUTE, one, ADDRESS), all.needed(ROUTE, two, ADDRESS), all.needed(ROUTE, one, OTHER)]).toEqual([true, false, false]);
  jest.advanceTimersByTime(29_999);
  expect(all.needed(ROUTE, one, ADDRESS)).toBe(true);
});

test('then it may try once, and others are relayed until it is clear how that went', () => {
  const all = relays();
  const one = lender(1, 1);
  all.markUnreachable(ROUTE, one, ADDRESS);
  jest.advanceTimersByTime(30_000);
  expect([all.needed(ROUTE, one, ADDRESS), all.needed(ROUTE, one, ADDRESS)]).toEqual([false, true]);
  all.markUnreachable(ROUTE, one, ADDRESS);
  jest.advanceTimersByTime(29_999);
  expect(all.needed(ROUTE, one, ADDRESS)).toBe(true);
  jest.advanceTimersByTime(1);
  expect(all.needed(ROUTE, one, ADDRESS)).toBe(false);
  // No word of another failure: it reaches the node now.
  jest.advanceTimersByTime(5_000);
  expect([all.needed(ROUTE, one, ADDRESS), all.needed(ROUTE, one, ADDRESS)]).toEqual([false, false]);
});

test('of 10,000 such pairs the oldest are forgotten', () => {
  const all = relays();
  const one = lender(1, 1);
  for (let i = 0; i <= 10_000; i++) all.markUnreachable(ROUTE, one, `192.0.2.1:${i}`);
  expect([all.needed(ROUTE, one, '192.0.2.1:0'), all.needed(ROUTE, one, '192.0.2.1:1'), all.needed(ROUTE, one, '192.0.2.1:10000')]).toEqual(
    [false, true, true],
  );
});

test('a node that leaves lends nothing on', () => {
  const all = relays();
  all.goAway();
  expect([all.lend('app.example.com', lender(1, 1), 1, ADDRESS), all.lent]).toEqual([0, 0]);
});

test('an instance of another route that says the same id changes nothing', () => {
  const all = relays();
  all.markUnreachable('evil.example.com', lender(1, 1), ADDRESS);
  expect(all.needed(ROUTE, lender(1, 1), ADDRESS)).toBe(false);
});
