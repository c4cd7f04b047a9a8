import { expect, test } from '@jest/globals';
import { tellingLine } from '../../../src/admin/words.ts';

test.each([
  [
    '/app/x.js:1\nthrow it\n^\n\nTypeError: no database\n    at Object.<anonymous> (/app/x.js:1:7)\n\nNode.js v24.1.0\n',
    'TypeError: no database',
  ],
  ['Traceback:\n  File "x.py"\nModuleNotFoundError: No module named \'flask\'\n', "ModuleNotFoundError: No module named 'flask'"],
  ['panic: no config\n\ngoroutine 1 [running]:\nmain.main()\n', 'panic: no config'],
  ['pulling\nimage not found\n\n', 'image not found'],
  ['', ''],
])('the line that says why: %j', (output, line) => {
  expect(tellingLine(output, 100)).toBe(line);
});
