import { expect, test } from '@jest/globals';
import { REST_AFTER_MS, REST_BEAT_MAX_MS, REST_BEAT_MIN_MS } from '../../../../src/cluster/limits.ts';
import { Rest } from '../../../../src/cluster/member/rest.ts';

test('a node rests a while after the last change, once the directory knows it, until its next beat is due', () => {
  let now = 1_000;
  const rest = new Rest(() => now);
  rest.said(false, '1');
  expect([rest.isDue, rest.isOn]).toEqual([false, false]);
  now += REST_AFTER_MS;
  expect([rest.isDue, rest.isOn]).toEqual([true, false]);
  rest.said(true, '1');
  expect(rest.isOn).toBe(true);
  now += REST_BEAT_MIN_MS - 1;
  expect(rest.isOn).toBe(true);
  now += REST_BEAT_MAX_MS - REST_BEAT_MIN_MS + 1;
  expect([rest.isDue, rest.isOn]).toEqual([true, false]);
});

test('any change ends it for that while, and an instance for as long as it is said to', () => {
  let now = 1_000;
  const rest = new Rest(() => now);
  now += REST_AFTER_MS;
  rest.said(true, '1');
  rest.stir();
  expect([rest.isDue, rest.isOn]).toEqual([false, false]);
  rest.stirFor(REST_AFTER_MS + 5_000);
  now += REST_AFTER_MS + 4_999;
  expect(rest.isOn).toBe(false);
  now += 1;
  expect(rest.isOn).toBe(true);
});

test('another revision, none, or an unknown one is a reason to speak', () => {
  const rest = new Rest(() => 0);
  expect(rest.isStill(null)).toBe(false);
  rest.said(true, '7');
  expect([rest.isStill('7'), rest.isStill('8'), rest.isStill(null)]).toEqual([true, false, false]);
  rest.end();
  expect(rest.isStill('7')).toBe(false);
});
