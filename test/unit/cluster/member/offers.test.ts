import { expect, test } from '@jest/globals';
import type { Directory, Matched } from '../../../../src/cluster/directory.ts';
import { DirectoryClock } from '../../../../src/cluster/member/clock.ts';
import { Demand } from '../../../../src/cluster/member/demand.ts';
import type { MoveNotices } from '../../../../src/cluster/member/move-notices.ts';
import { SlotOffers } from '../../../../src/cluster/member/offers.ts';

/** Nothing here speaks to a directory. */
function offers(): SlotOffers {
  const silent = { connected: false } as Directory;
  const context = {
    self: { id: 'a', address: '' },
    directory: silent,
    demand: new Demand(),
    clock: new DirectoryClock(),
    moves: {} as MoveNotices,
    now: () => 0,
  };
  return new SlotOffers('app', context, { enter: () => {}, found: () => {}, rematch: () => {} });
}

const replyWith = (...moves: [string, number][]): Matched =>
  ({ moves: moves.map(([from, count]) => ({ from, to: { id: 'b', address: '' }, count })) }) as unknown as Matched;

test('the directory knows too many idle slots once some have gone that it was told of beside an offer, and has not promised', () => {
  const some = offers();
  some.setIdle(2);
  // An offer counts for itself.
  expect(some.isOverstated).toBe(false);
  some.setIdle(1);
  expect(some.isOverstated).toBe(false);
  expect(some.say()).toBe(1);
  some.setIdle(0);
  expect(some.isOverstated).toBe(true);
  expect(some.say()).toBe(0);
  expect(some.isOverstated).toBe(false);

  some.setIdle(3);
  some.say();
  some.promised(replyWith(['a', 2], ['c', 1]));
  some.setIdle(1);
  expect(some.isOverstated).toBe(false);
  some.setIdle(0);
  expect(some.isOverstated).toBe(true);
});
