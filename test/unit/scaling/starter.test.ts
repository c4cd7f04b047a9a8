import { expect, test } from '@jest/globals';
import { leavesSomething, startedBy } from '../../../src/scaling/starter.ts';

const HERE = 'docker@here-1';
const starter = { source: HERE, has: (route: string) => route === 'mine', start: () => Promise.resolve() };
const none = { command: [] };
const own = { command: ['run'] };

test.each([
  ['a route of an operator', 'a', {}, own, 'command'],
  ['the same at a scaler that also discovers', 'mine', {}, { ...own, starter }, 'command'],
  ['the same at a scaler that only discovers', 'a', {}, { ...none, starter }, 'another'],
  ['a route of an operator with containers here', 'mine', {}, { ...none, starter }, 'starter'],
  ['a route that was discovered here', 'a', { source: HERE }, { ...own, starter }, 'starter'],
  ['a route that was discovered elsewhere', 'mine', { source: 'docker@there-2' }, { ...own, starter }, 'another'],
  ['a discovered route at a scaler that discovers nothing', 'a', { source: HERE }, own, 'another'],
  [
    'a route with a command where routes may have one',
    'mine',
    { command: ['x'] },
    { ...none, allowRouteCommands: true, starter },
    'command',
  ],
  ['a route with a command where none may have one', 'mine', { command: ['x'] }, { ...none, starter }, 'another'],
  ['a route without a command where nothing starts it', 'a', {}, none, 'command'],
] as const)('%s', (_, route, settings, scaler, by) => {
  expect(startedBy(route, settings, scaler)).toBe(by);
});

const cancels = { ...starter, cancel: () => Promise.resolve() };

test.each([
  ['a start here that leaves nothing', 'starter', HERE, starter, false],
  ['a start here that leaves something', 'starter', HERE, cancels, true],
  ['one of an operator that is started here', 'starter', undefined, cancels, true],
  ['a start of another scaler at Kubernetes', 'another', 'kubernetes@web-1a2b3c4d', undefined, true],
  ['a start of another scaler at Docker', 'another', 'docker@there-2', cancels, false],
  ['a start that nobody takes', 'another', undefined, cancels, false],
  ['a start by a command', 'command', undefined, cancels, false],
] as const)('there is something to cancel of %s, or nothing', (_, by, source, own, expected) => {
  expect(leavesSomething(by, { source }, own)).toBe(expected);
});
