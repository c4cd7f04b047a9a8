import { expect, test } from '@jest/globals';
import { Turns } from '../../../../src/node/keys/turns.ts';

test('one who comes just as another ends does not pass those who wait, and is not one too many', async () => {
  const turns = new Turns(2, 2);
  const order: string[] = [];
  const begin = (name: string) => turns.begin().then((may) => order.push(`${name} ${may}`));
  await Promise.all([begin('a'), begin('b')]);
  const waiting = [begin('c'), begin('d')];
  await begin('e');
  turns.end();
  expect(turns.running).toBe(2);
  const late = begin('f');
  await waiting[0];
  expect(order).toEqual(['a true', 'b true', 'e false', 'c true']);
  turns.end();
  await waiting[1];
  expect(turns.running).toBe(2);
  turns.end();
  await late;
  expect([order.slice(4), turns.running]).toEqual([['d true', 'f true'], 2]);
  turns.end();
  turns.end();
  expect(turns.running).toBe(0);
});
