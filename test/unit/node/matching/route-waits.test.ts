import { describe, expect, test } from '@jest/globals';
import { WaitBook } from '../../../../src/cluster/memory/wait-book.ts';
import { olderAmong } from '../../../../src/cluster/wait-estimate.ts';
import { ERROR_BOUNDS, RouteWaits } from '../../../../src/node/matching/route-waits.ts';

const SLOTS = 8;
const NODES = 3;
const BUSY_MS = 60_000;
/** Requests of very different length: 100 ms in the mean. */
const LENGTHS = [20, 40, 60, 100, 280];

interface Client {
  readonly at: number;
  readonly node: number;
  expected: { readonly ms: number; readonly correction: number } | null;
}

/** Random, and the same each time (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * A busy minute in steps of a millisecond: one line over three nodes, most clients at the first; every five seconds comes a crowd, or only as many as
 * can be served. `slowMs`: what a slot loses between two requests. Returns what each node has judged.
 */
function busyMinute(seed: number, slowMs: number): RouteWaits[] {
  const random = seeded(seed);
  const nodes = Array.from({ length: NODES }, () => new RouteWaits());
  const book = new WaitBook();
  const line: Client[] = [];
  const until: { at: number; ms: number; node: number }[] = [];
  let due = 0;
  for (let now = 0; now < BUSY_MS; now++) {
    for (let i = until.length - 1; i >= 0; i--) {
      const one = until[i] as (typeof until)[number];
      if (one.at > now) continue;
      nodes[one.node]?.took(now, one.ms);
      until.splice(i, 1);
    }
    const isCrowded = Math.floor(now / 5_000) % 2 === 0;
    due += (isCrowded ? 1.4 : 0.7) * (SLOTS / 100);
    for (; due >= 1; due--) {
      const at = random();
      const client: Client = { at: now, node: at < 0.6 ? 0 : at < 0.9 ? 1 : 2, expected: null };
      const waits = nodes[client.node] as RouteWaits;
      const here = line.filter(({ node }) => node === client.node).length;
      line.push(client);
      if (!waits.judgesNow(now)) continue;
      const ms = waits.leftMs({ here, elsewhere: (others, oldestMs) => olderAmong(others, 0, oldestMs) }, now);
      if (ms !== null) client.expected = { ms, correction: waits.correction };
    }
    while (until.length < SLOTS && line.length > 0) {
      const { at, node, expected } = line.shift() as Client;
      const ms = LENGTHS[Math.floor(random() * LENGTHS.length)] ?? 0;
      until.push({ at: now + ms + slowMs, ms, node });
      if (expected !== null) nodes[node]?.judge(expected.ms, expected.correction, now - at);
    }
    if (now % 500 !== 0) continue;
    for (const [node, waits] of nodes.entries()) {
      book.took(now, waits.take());
      const held = { held: line.length, oldestHeldMs: now - (line[0]?.at ?? now), slots: SLOTS, free: SLOTS - until.length };
      const pace = { slotMs: book.slotMs, startMs: null, slotsPerStart: 4 };
      waits.learn({ ...held, ...pace, startAgesMs: [] }, line.filter((one) => one.node === node).length, now);
    }
  }
  return nodes;
}

/** Half of all were wrong by no more than this. */
function medianError(nodes: readonly RouteWaits[]): { readonly count: number; readonly median: number } {
  const counts = ERROR_BOUNDS.map((_, i) => nodes.reduce((sum, { errors }) => sum + (errors?.counts[i] ?? 0), 0));
  const count = nodes.reduce((sum, { errors }) => sum + (errors?.counts.reduce((a, b) => a + b, 0) ?? 0), 0);
  let below = 0;
  for (const [i, own] of counts.entries()) {
    below += own;
    if (below >= count / 2) return { count, median: ERROR_BOUNDS[i] ?? 0 };
  }
  return { count, median: Number.POSITIVE_INFINITY };
}

describe('estimates over a busy minute, at three nodes', () => {
  test.each([0, 10, 60])('are wrong by a quarter in the median, where a slot loses %i ms between two requests', (slowMs) => {
    const { count, median } = medianError(busyMinute(slowMs, slowMs));
    expect(count).toBeGreaterThan(500);
    expect(median).toBeLessThanOrEqual(0.25);
  });
});

describe('what a node knows of waits', () => {
  const SUPPLY = { held: 10, oldestHeldMs: 1_000, slots: 2, free: 0, slotMs: 100, startMs: null, slotsPerStart: null, startAgesMs: [] };
  const LAST = { here: 4, elsewhere: (others: number) => others };

  test('counts those whom other nodes hold', () => {
    const waits = new RouteWaits();
    waits.learn(SUPPLY, 4, 0);
    expect([waits.position(LAST, 0), waits.leftMs(LAST, 0), waits.newcomerMs(4, 0)]).toEqual([11, 550, 550]);
  });

  test('is nothing before it was said, and after a while', () => {
    const waits = new RouteWaits();
    expect([waits.position(LAST, 0), waits.leftMs(LAST, 0), waits.judgesNow(0)]).toEqual([null, null, false]);
    waits.learn(SUPPLY, 4, 0);
    expect([waits.position(LAST, 5_000), waits.leftMs(LAST, 5_000), waits.judgesNow(5_000)]).toEqual([null, null, false]);
  });

  test('is corrected by what came of earlier estimates, and by no more than double', () => {
    const waits = new RouteWaits();
    waits.learn(SUPPLY, 4, 0);
    for (let i = 0; i < 1_000; i++) waits.judge(550 * waits.correction, waits.correction, 5_500);
    expect(waits.leftMs(LAST, 0)).toBeGreaterThan(1_050);
    expect(waits.leftMs(LAST, 0)).toBeLessThanOrEqual(1_100);
    for (let i = 0; i < 1_000; i++) waits.judge(550 * waits.correction, waits.correction, 440);
    expect(waits.leftMs(LAST, 0)).toBeCloseTo(440, -1);
  });

  test('judges no wait that is too short to be told', () => {
    const waits = new RouteWaits();
    waits.judge(10_000, 1, 99);
    expect([waits.errors, waits.estimates]).toEqual([null, null]);
  });

  test('are measures of the last seconds', () => {
    const waits = new RouteWaits();
    for (let i = 0; i < 1_000; i++) waits.took(20_000, 500);
    for (let now = 31_000; now < 131_000; now += 1_000) waits.took(now, 10);
    const { requests, ms } = waits.take();
    expect(ms / requests).toBeLessThan(100);
    expect(waits.take()).toEqual({ requests: 0, ms: 0 });
  });
});
