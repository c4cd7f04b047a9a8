/** What each way in which a stream can end means: the table of cases. */
import { describe, expect, test } from '@jest/globals';
import { ResetCode } from '../../../../src/link/frames.ts';
import { ATTEMPTS_MAX, blameFor, causeOf, type FailedStream, nextAfter } from '../../../../src/node/visits/retry-policy.ts';

/** A request that may be said twice, on a fresh connection to an instance that has proved itself, which broke off. */
const FAILED: FailedStream = {
  cause: 'application_broke_off',
  reached: true,
  reused: false,
  began: false,
  safe: true,
  whole: true,
  unproven: false,
  opaque: false,
  attempts: 1,
};

const refused = { cause: 'application_refused', reached: false } as const;
const lost = { cause: 'link_lost' } as const;
const silent = { cause: 'application_silent', safe: false, opaque: true } as const;
const unsafe = { safe: false } as const;
const unproven = { unproven: true } as const;

describe('a visit whose stream has failed', () => {
  test.each<[what: string, over: Partial<FailedStream>, next: string]>([
    ['an application that broke off may have worked on it', {}, 'application_broke_off'],
    ['nothing of it got there', { reached: false, ...unsafe }, 'here'],
    ['the connection was refused', { ...refused, ...unsafe }, 'here'],
    ['a kept connection was closed at its reuse', { reused: true }, 'here'],
    ['a kept connection was closed at its reuse, and it may not be said twice', { reused: true, ...unsafe }, 'application_broke_off'],
    ['a kept connection got nothing of it', { reused: true, reached: false, ...unsafe }, 'here'],
    ['the link broke', lost, 'here'],
    ['the link broke, and it may not be said twice', { ...lost, ...unsafe }, 'link_lost'],
    ['the client has a part of the answer', { ...lost, began: true }, 'link_lost'],
    ['it is not kept any more', { ...lost, whole: false }, 'link_lost'],
    ['it was the last attempt', { ...refused, attempts: ATTEMPTS_MAX }, 'application_refused'],
    ['it was the last attempt but one', { ...refused, attempts: ATTEMPTS_MAX - 1 }, 'here'],
    ['an unproven instance broke off', unproven, 'elsewhere'],
    ['an unproven instance answered nonsense', { ...unproven, cause: 'application_bad_answer' }, 'elsewhere'],
    ['an unproven instance broke off, and it may not be said twice', { ...unproven, ...unsafe }, 'application_broke_off'],
    ['an unproven instance refused it', { ...unproven, ...refused, ...unsafe }, 'elsewhere'],
    ['an unproven instance closed a kept connection', { ...unproven, reused: true }, 'here'],
    ['an unproven instance broke off within its answer', { ...unproven, began: true }, 'application_broke_off'],
    ['an unproven instance failed the last attempt', { ...unproven, attempts: ATTEMPTS_MAX }, 'application_broke_off'],
    ['a proven instance answered nonsense', { cause: 'application_bad_answer' }, 'application_bad_answer'],
    ['a proven instance closed in order without a word, of bytes that nobody knows', { ...silent, reached: false }, 'application_silent'],
    ['an unproven instance did so to a client that had said nothing', { ...silent, ...unproven, reached: false }, 'elsewhere'],
    ['an unproven instance did so to a client that had said something', { ...silent, ...unproven }, 'application_silent'],
  ])('%s', (_what, over, next) => {
    expect(nextAfter({ ...FAILED, ...over })).toBe(next);
  });
});

describe('an instance whose stream has failed', () => {
  test.each<[what: string, over: Partial<FailedStream>, blame: ReturnType<typeof blameFor>]>([
    ['broke off before its answer', {}, 'failed'],
    ['broke off within its answer', { began: true }, null],
    ['refused the connection', refused, 'failed'],
    ['answered nonsense', { cause: 'application_bad_answer' }, 'failed'],
    ['closed a kept connection', { reused: true }, null],
    ['has lost its link', lost, null],
    ['closed without a word, where that may be an answer', silent, 'doubtful'],
    ['broke off without a word, where that may be an answer', { opaque: true }, 'doubtful'],
    ['refused the connection, whatever it speaks', { ...refused, opaque: true }, 'failed'],
  ])('%s', (_what, over, blame) => {
    expect(blameFor({ ...FAILED, ...over })).toBe(blame);
  });
});

test.each([
  [ResetCode.APP_REFUSED, 'application_refused'],
  [ResetCode.APP_CLOSED, 'application_broke_off'],
  [ResetCode.CLOSED, 'application_broke_off'],
  [ResetCode.CANCEL, 'application_broke_off'],
  [ResetCode.LINK_LOST, 'link_lost'],
] as const)('a reset with %d means %s', (code, cause) => {
  expect(causeOf(code)).toBe(cause);
});
