import { expect, test } from '@jest/globals';
import { saidIn } from '../../../src/discovery/fields.ts';

test.each([
  ['{"message":"no such container"}', 'no such container'],
  ['{"error":"another field"}', ''],
  ['{"message":{"text":"no text"}}', ''],
  ['Bad Gateway', 'Bad Gateway'],
  ['["a list"]', '["a list"]'],
  ['', ''],
  [JSON.stringify({ message: 'x'.repeat(1_000) }), 'x'.repeat(300)],
])('of the refusal %j people read %j', (body, said) => {
  expect(saidIn(body)).toBe(said);
});
