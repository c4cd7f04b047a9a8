/** Slots that are brought together for one node after the other. */
import { describe, expect, test } from '@jest/globals';
import { Gathers } from '../../../src/linker/gathers.ts';
import type { LinkedNode } from '../../../src/linker/linked-node.ts';
import { Slots } from '../../../src/linker/slots.ts';

/** A node that is lent slots, without a link. */
class StandInNode {
  lent = 0;
  recalled = 0;
  readonly atMost: number[] = [];
  readonly #slots: Slots;

  constructor(slots: Slots, lent = 0) {
    this.#slots = slots;
    this.grant(lent);
  }

  grant(count: number): void {
    this.#slots.lend(count);
    this.lent += count;
  }

  gathersAtMost(count: number): void {
    this.atMost.push(count);
  }

  get linked(): LinkedNode {
    return this as unknown as LinkedNode;
  }
}

function three(limit = 6) {
  const slots = new Slots(limit, () => {});
  const gathers = new Gathers(slots);
  const nodes = [1, 2, 1].map((lent) => new StandInNode(slots, lent)) as [StandInNode, StandInNode, StandInNode];
  return { slots, gathers, nodes };
}

describe('the turn', () => {
  test('is that of the node which asked first, until it wants none', () => {
    const { gathers, nodes } = three();
    const [a, b, c] = nodes;
    expect(gathers.node).toBeNull();
    for (const one of [b, a, c]) gathers.want(one.linked, 4);
    const turns: (StandInNode | null)[] = [];
    for (let node = gathers.node; node !== null; node = gathers.node) {
      turns.push(node as unknown as StandInNode);
      gathers.want(node, 0);
    }
    expect(turns).toEqual([b, a, c]);
  });

  test('is kept by a node that wants another number, and lost by one that wants none in between', () => {
    const { gathers, nodes } = three();
    const [a, b] = nodes;
    gathers.want(a.linked, 4);
    gathers.want(b.linked, 4);
    gathers.want(a.linked, 5);
    expect([gathers.node, gathers.missing]).toEqual([a, 4]);
    gathers.want(a.linked, 0);
    gathers.want(a.linked, 5);
    expect(gathers.node).toBe(b);
  });

  test('of a node that never asked ends nobody’s', () => {
    const { gathers, nodes } = three();
    const [a, b] = nodes;
    gathers.want(a.linked, 4);
    gathers.want(b.linked, 0);
    expect(gathers.node).toBe(a);
  });
});

describe('what is missing', () => {
  test.each<[number, number, number, number]>([
    // wanted, lent, called back, missing
    [4, 1, 0, 3],
    [4, 4, 0, 0],
    [4, 6, 0, 0],
    [4, 4, 2, 2],
    [4, 0, 0, 4],
    [1, 0, 0, 1],
  ])('of %d, with %d lent of which %d were called back, is %d', (wanted, lent, recalled, missing) => {
    const slots = new Slots(10, () => {});
    const gathers = new Gathers(slots);
    const node = new StandInNode(slots, lent);
    node.recalled = recalled;
    gathers.want(node.linked, wanted);
    expect(gathers.missing).toBe(missing);
  });

  test('is nothing while nobody wants any, and what the first one lacks otherwise', () => {
    const { gathers, nodes } = three();
    const [a, b] = nodes;
    expect(gathers.missing).toBe(0);
    gathers.want(b.linked, 2);
    gathers.want(a.linked, 6);
    expect(gathers.missing).toBe(0);
  });

  test('is lent from what lies at home, and no more than that, to nobody else', () => {
    const { slots, gathers, nodes } = three();
    const [a, b, c] = nodes;
    gathers.lend();
    expect(slots.atHome).toBe(2);
    gathers.want(b.linked, 6);
    gathers.want(c.linked, 6);
    gathers.lend();
    expect([a.lent, b.lent, c.lent, slots.atHome]).toEqual([1, 4, 1, 0]);
    a.lent--;
    slots.takeBack(1);
    gathers.want(b.linked, 3);
    gathers.lend();
    expect([b.lent, slots.atHome]).toEqual([4, 1]);
  });
});

describe('above the limit', () => {
  test('nodes that want more hear how many they can have, once, and the next one has the turn', () => {
    const { gathers, nodes } = three();
    const [a, b, c] = nodes;
    gathers.want(a.linked, 6);
    gathers.want(b.linked, 4);
    gathers.want(c.linked, 5);
    gathers.refuseAbove(4);
    gathers.refuseAbove(4);
    expect(nodes.map(({ atMost }) => atMost)).toEqual([[4], [], [4]]);
    expect(gathers.node).toBe(b);
    gathers.refuseAbove(0);
    expect([b.atMost, gathers.node]).toEqual([[0], null]);
  });

  test('nobody is refused who wants just as many', () => {
    const { gathers, nodes } = three();
    gathers.want(nodes[0].linked, 6);
    gathers.refuseAbove(6);
    expect([nodes[0].atMost, gathers.node]).toEqual([[], nodes[0]]);
  });
});
