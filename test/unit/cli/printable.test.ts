/** Nothing that comes from outside reaches a terminal as a control character. */
import { describe, expect, test } from '@jest/globals';
import { adminState } from '../../../src/admin/admin-state.ts';
import { WaitWindow } from '../../../src/admin/waits.ts';
import { inspectionText } from '../../../src/cli/terminal/inspect-text.ts';
import { statusText } from '../../../src/cli/terminal/status-text.ts';
import { frame } from '../../../src/cli/terminal/watch.ts';
import { printable, printableAll, printableLines } from '../../../src/printable.ts';
import { aJob, aNode, anInstance, aRoute, aRun, aState, NOW } from '../../support/harness/pictures.ts';

/** Title, answer-back, cursor, C1 as one character, DEL, bidi override and isolate, zero width, line separator, half of a pair, a tag. */
const ATTACKS = [
  '\u001b]0;owned\u0007',
  '\u001b[6n',
  '\r\u001b[2K',
  '\u009b31m',
  '\u007f',
  '\u202e',
  '\u2066',
  '\u200b',
  '\u2028',
  '\ud800',
  '\u{e0041}',
];
const BAD = ATTACKS.join('x');
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]|[\ud800-\udfff]/;

describe('control characters', () => {
  test.each(ATTACKS)('%j is shown as what it is', (attack) => {
    expect(printable(`a${attack}b`)).toMatch(/^a(\\u[0-9a-f]{4}|[\x20-\x7e])+b$/);
    expect(printableLines(`a${attack}b\nc`)).toBe(`${printable(`a${attack}b`)}\nc`);
  });

  test('text of all scripts stays what it is, and lines stay lines only where we made them', () => {
    const text = 'Größe 大小 размер 🚀 é';
    expect([printable(text), printableLines(`${text}\n`)]).toEqual([text, `${text}\n`]);
    expect(printable('a\nb')).toBe('a\\u000ab');
  });

  test('JSON says the same as before', () => {
    const value = { [BAD]: [BAD, { a: BAD }] };
    const json = printableLines(JSON.stringify(value, null, 2));
    expect(json).not.toMatch(CONTROL);
    expect(JSON.parse(json)).toEqual(value);
  });

  test('are looked for in names and values of all kinds', () => {
    const clean = printableAll({ [BAD]: new Map([[BAD, [BAD, 5, null, true]]]) });
    expect(JSON.stringify([Object.keys(clean), ...Object.values(clean).flatMap((map) => [...map])])).not.toMatch(CONTROL);
  });
});

/** The same picture with something bad in each of its texts. */
function poisoned<T>(value: T): T {
  if (typeof value === 'string') return `${value}${BAD}` as T;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(poisoned) as T;
  if (value instanceof Map) return new Map([...value].map(([key, one]) => [poisoned(key), poisoned(one)])) as T;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, poisoned(one)])) as T;
}

describe('pictures with something bad in every text', () => {
  test('status', () => {
    const trouble = { failures: 3, reason: 'x', ageMs: 1, retryInMs: 1 };
    const starts = [{ id: 's', ageMs: 1, leftMs: 1 }];
    const seen = aState({ nodes: [aNode()], routes: [aRoute({ instances: [anInstance()], starts, trouble })] });
    const jobs = { jobs: [aJob({ state: 'failed', runs: [aRun({ failure: 'x', output: 'x' })] })], scalers: 1 };
    const process = { version: '1', startedBy: 'scalers', routeDefaults: {}, draining: false, redisRefusal: 'x' } as const;
    const picture = adminState(
      seen,
      jobs,
      { ...process, internalErrors: {} },
      new WaitWindow().add([], 1),
      { events: [], untold: [], now: NOW },
      NOW,
    );
    const state = poisoned(picture);
    const fixed = { ...state, troubles: state.troubles.map((one) => ({ ...one, severity: 'error' as const })) };
    for (const width of [60, 1_000]) {
      const text = statusText(fixed, width);
      expect(text).toContain('\\u001b');
      expect(text).not.toMatch(CONTROL);
      expect(frame(text, 50).split('\u001b[').join('')).not.toMatch(CONTROL);
    }
  });

  test('inspect', () => {
    const stored = { type: `hash${BAD}`, expiresInMs: null, size: 1, entries: new Map([[BAD, BAD]]) };
    const keys = new Map([`pp:{a.test}:held`, `pp:{${BAD}}:held`, BAD, 'pp:routes'].map((key) => [key, stored]));
    const dump = { now: 1, keys, info: new Map([['redis_version', BAD]]) };
    const findings = [{ severity: 'broken' as const, key: BAD, what: BAD, advice: BAD }];
    for (const route of [null, 'a.test']) {
      const text = inspectionText({ dump, findings, route }, 1_000);
      expect(text).toContain('\\u001b');
      expect(text).not.toMatch(CONTROL);
    }
  });
});
