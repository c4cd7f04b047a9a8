import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Heap } from '../../../src/memory/heap.ts';

interface Member {
  value: number;
  at: number;
}

function heapOf(values: readonly number[]): { heap: Heap<Member>; members: Member[] } {
  const heap = new Heap<Member>(
    (a, b) => a.value < b.value,
    (member, at) => {
      member.at = at;
    },
    ({ at }) => at,
  );
  const members = values.map((value) => ({ value, at: -1 }));
  for (const member of members) heap.add(member);
  return { heap, members };
}

function drain(heap: Heap<Member>): number[] {
  const drained: number[] = [];
  for (let { first } = heap; first !== undefined; first = heap.first) {
    drained.push(first.value);
    heap.remove(first);
  }
  return drained;
}

test('a heap gives its members in their order, also after some have left from the middle and others have another value', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(50), fc.constantFrom('stays', 'leaves', 'moves'), fc.nat(50)), { maxLength: 60 }), (plan) => {
      const { heap, members } = heapOf(plan.map(([value]) => value));
      const left: number[] = [];
      for (const [i, member] of members.entries()) {
        const [value, what, other] = plan[i] as (typeof plan)[number];
        if (what === 'leaves') heap.remove(member);
        else if (what === 'moves') {
          member.value = other;
          heap.moved(member);
          left.push(other);
        } else left.push(value);
      }
      expect(heap.size).toBe(left.length);
      expect(drain(heap)).toEqual(left.sort((a, b) => a - b));
      expect(members.every(({ at }) => at === -1)).toBe(true);
    }),
  );
});
