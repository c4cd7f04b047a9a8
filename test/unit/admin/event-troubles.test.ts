import { expect, test } from '@jest/globals';
import { eventTroubles } from '../../../src/admin/event-troubles.ts';
import type { ClusterEvent } from '../../../src/events/event.ts';

const NOW = 1_000_000;
let number = 0;

const happened = (code: string, changes: Partial<ClusterEvent> = {}): ClusterEvent => ({
  id: `${NOW}-${number++}`,
  at: NOW - 1_000,
  code,
  level: 'error',
  source: 'a',
  node: null,
  route: null,
  text: 'it is wrong',
  count: 1,
  ...changes,
});
const codes = (...events: ClusterEvent[]): string[] => eventTroubles(events, NOW).map(({ code, node }) => `${code} ${node}`);

test('what was said lately is wrong, at the node that said it, until it is too long ago', () => {
  expect(codes(happened('secrets_bad'))).toEqual(['secrets_bad a']);
  expect(codes(happened('secrets_bad', { at: NOW - 16 * 60_000 }))).toEqual([]);
  expect(codes(happened('started', { level: 'note' }))).toEqual([]);
});

test('a trouble is over when the same process says so, and not when another one does', () => {
  const lost = happened('redis_disconnected');
  expect(codes(lost, happened('redis_connected', { source: 'b' }))).toEqual(['redis_disconnected a']);
  expect(codes(lost, happened('redis_connected'))).toEqual([]);
  expect(codes(lost, happened('redis_connected'), lost)).toEqual(['redis_disconnected a']);
});

test('what all nodes say of the one Redis is said once, and a code of a later version is shown, too', () => {
  expect(codes(happened('redis_evicts'), happened('redis_evicts', { source: 'b' }))).toEqual(['redis_evicts b']);
  expect(codes(happened('new_code', { source: 'scaler host', route: 'app.test' }))).toEqual(['new_code null']);
});
