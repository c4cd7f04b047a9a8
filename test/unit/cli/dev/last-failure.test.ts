import { expect, test } from '@jest/globals';
import { type Failure, LastFailure } from '../../../../src/cli/dev/last-failure.ts';

test('the developer is told why nothing starts, and what an instance that broke off wrote last', () => {
  let at = 0;
  let starting: Failure | null = null;
  const failure = new LastFailure(
    () => at,
    () => starting,
  );
  expect(failure.explain('hold_timeout')).toBeNull();
  starting = { words: 'the application has not accepted yet', lines: [] };
  at += 1_001;
  expect(failure.explain('hold_timeout')).toBe('the application has not accepted yet.\nIt has written nothing.');
  failure.failed({ words: 'the application ended with code 1', lines: ['Error: <b>\u001b'] });
  const crashed = 'the application ended with code 1.\nIt wrote last:\n\n  Error: <b>\\u001b';
  expect(failure.explain('start_failed')).toBe(crashed);
  expect(failure.explain('queue_full')).toBeNull();
  starting = null;
  at += 1_001;
  failure.served();
  expect([failure.explain('hold_timeout'), failure.explain('application_broke_off')]).toEqual([null, crashed]);
  at += 600_000;
  expect(failure.explain('application_broke_off')).toBeNull();
});
