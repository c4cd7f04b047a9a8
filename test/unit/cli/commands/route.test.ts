import { describe, expect, test } from '@jest/globals';
import { merged, readAction } from '../../../../src/cli/commands/route.ts';
import { ConfigError } from '../../../../src/errors.ts';

describe('what is asked for', () => {
  test.each([
    ['list', { verb: 'list' }],
    ['export', { verb: 'export' }],
    ['get A.example.com', { verb: 'get', name: 'a.example.com' }],
    ['delete *', { verb: 'delete', name: '*' }],
    [
      'set a maxHeld=1 holdTimeout=',
      {
        verb: 'set',
        name: 'a',
        changes: new Map([
          ['maxHeld', '1'],
          ['holdTimeout', ''],
        ]),
      },
    ],
    ['set a', { verb: 'set', name: 'a', changes: new Map() }],
  ])('%s', (line, action) => {
    expect(readAction(line.split(' '))).toEqual(action);
  });

  test.each([
    ['', /^route "": expected one of list, get, set, delete, restart, pause, resume, apply, export$/],
    ['show a', /^route "show": expected one of list/],
    ['list a', /^route list "a": expected nothing more$/],
    ['get', /^route get "": expected a host name/],
    ['get a b', /^route get "b": expected nothing more$/],
    ['set a! b=c', /^route set "a!": expected a host name/],
    ['set a maxHeld 1', /^route set "maxHeld": expected key=value\nroute set "1": expected key=value$/],
    ['set a =1', /^route set "=1": expected key=value$/],
  ])('"%s" is not understood', (line, message) => {
    expect(() => readAction(line.split(' '))).toThrow(ConfigError);
    expect(() => readAction(line.split(' '))).toThrow(message);
  });
});

describe('set', () => {
  const stored = { holdTimeout: '10s', maxInstances: 3 };

  test('adds to what is stored', () => {
    expect(
      merged(
        stored,
        new Map([
          ['maxHeld', '5'],
          ['maxInstances', '4'],
        ]),
      ),
    ).toEqual({ holdTimeout: '10s', maxInstances: 4, maxHeld: 5 });
  });

  test('takes a setting back to its default when nothing stands after the sign', () => {
    expect(
      merged(
        stored,
        new Map([
          ['holdTimeout', ''],
          ['maxHeld', ''],
        ]),
      ),
    ).toEqual({ maxInstances: 3 });
  });

  test('refuses what would be bad together with what is stored', () => {
    expect(() => merged(stored, new Map([['minInstances', '4']]))).toThrow('minInstances 4: expected at most maxInstances, which is 3');
    expect(() => merged(stored, new Map([['nonsense', '']]))).toThrow('nonsense "": expected one of the keys');
  });
});
