import { expect, test } from '@jest/globals';
import { startedBy } from '../../../src/scaling/starter.ts';

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
