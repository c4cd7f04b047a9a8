/** A test in which an internal error happened that it did not expect fails, whatever else it says. */
import { afterEach, expect } from '@jest/globals';
import { internalErrorCounts, reportInternalErrors } from '../../src/boundary.ts';

let before: Readonly<Record<string, number>> = {};
let expected: Readonly<Record<string, number>> = {};
const lines: unknown[] = [];

reportInternalErrors({ error: (line: unknown) => void lines.push(line) } as never, () => {});

/** How many internal errors this test causes, by where; all others are a failure. */
export function expectInternalErrors(counts: Readonly<Record<string, number>>): void {
  expected = counts;
}

/** Since the test began, by where. */
export function newInternalErrors(): Readonly<Record<string, number>> {
  const found = Object.entries(internalErrorCounts()).map(([where, count]) => [where, count - (before[where] ?? 0)] as const);
  return Object.fromEntries(found.filter(([, count]) => count > 0));
}

afterEach(() => {
  const found = newInternalErrors();
  const wanted = expected;
  before = internalErrorCounts();
  expected = {};
  const said = lines.splice(0);
  // The log is shown when it fails.
  expect(JSON.stringify(found) === JSON.stringify(wanted) ? found : { found, said }).toEqual(wanted);
});

/** The lines that were logged of them in this test. */
export function loggedInternalErrors(): readonly unknown[] {
  return lines;
}
