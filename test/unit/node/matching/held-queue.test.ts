import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { PART_READ_BYTES } from '../../../../src/memory/reused-reads.ts';
import { HeldEntry, HeldQueue, HeldTally } from '../../../../src/node/matching/held-queue.ts';
import type { QueueDiscipline } from '../../../../src/node/matching/queue-discipline.ts';

class Entry extends HeldEntry<Entry> {
  urgency = 3;
}

type Queue = HeldQueue<Entry>;

function entriesOf(queue: Queue): Entry[] {
  const entries: Entry[] = [];
  for (let entry = queue.oldest; entry !== null; entry = entry.newer) entries.push(entry);
  return entries;
}

function take(queue: Queue): Entry | null {
  const entry = queue.next;
  if (entry !== null) queue.remove(entry);
  return entry;
}

function entryAt(arrivedAt: number, bytes = 0): Entry {
  const entry = new Entry(arrivedAt);
  entry.heldBytes = bytes;
  return entry;
}

class ReadingEntry extends Entry {
  readonly #stopped: () => void;

  constructor(arrivedAt: number, stopped: () => void) {
    super(arrivedAt);
    this.#stopped = stopped;
  }

  override beginWaiting(): boolean {
    return true;
  }

  override stopReading(): void {
    this.#stopped();
  }
}

function queueOf(holdTimeoutMs = 30_000, tally = new HeldTally()): { queue: Queue; tally: HeldTally; expired: Entry[] } {
  const expired: Entry[] = [];
  return { queue: new HeldQueue(holdTimeoutMs, tally, (entry) => expired.push(entry)), tally, expired };
}

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

describe('another discipline than first come, first served', () => {
  /** The most urgent first, among equals the oldest. */
  class UrgentFirst implements QueueDiscipline<Entry> {
    readonly said: string[] = [];
    readonly #entries = new Set<Entry>();

    entered(entry: Entry): void {
      this.said.push(`+${entry.arrivedAt}`);
      this.#entries.add(entry);
    }

    left(entry: Entry): void {
      this.said.push(`-${entry.arrivedAt}`);
      this.#entries.delete(entry);
    }

    served(entry: Entry): void {
      this.said.push(`*${entry.arrivedAt}`);
    }

    ahead(entry: Entry): number {
      return [...this.#entries].filter(({ urgency }) => urgency < entry.urgency).length;
    }

    next(oldest: Entry | null): Entry | null {
      let next = oldest;
      for (const entry of this.#entries) if (next === null || entry.urgency < next.urgency) next = entry;
      return next;
    }
  }

  function urgentQueue(holdTimeoutMs = 30_000) {
    const discipline = new UrgentFirst();
    const expired: Entry[] = [];
    const queue = new HeldQueue<Entry>(holdTimeoutMs, new HeldTally(), (entry) => expired.push(entry), discipline);
    return { queue, discipline, expired };
  }

  test('says whose the next slot is, while the queue goes on by age', () => {
    const { queue } = urgentQueue();
    const [old, urgent, young] = [entryAt(1), entryAt(2), entryAt(3)];
    urgent.urgency = 0;
    for (const entry of [old, urgent, young]) queue.insert(entry);
    expect([queue.next, queue.oldest]).toEqual([urgent, old]);
    expect([take(queue), take(queue), take(queue), take(queue)]).toEqual([urgent, old, young, null]);
  });

  test('hears once of each that comes, goes, and comes back to its place', () => {
    const { queue, discipline } = urgentQueue();
    const [a, b] = [entryAt(1), entryAt(2)];
    queue.insert(a);
    queue.insert(b);
    queue.remove(a);
    queue.remove(a);
    queue.insert(a);
    expect(discipline.said).toEqual(['+1', '+2', '-1', '+1']);
    expect(entriesOf(queue)).toEqual([a, b]);
  });

  test('changes no deadline: who has waited longest is let go first, however urgent others are', () => {
    const { queue, discipline, expired } = urgentQueue(100);
    const from = performance.now();
    const [old, urgent] = [entryAt(from), entryAt(from + 50)];
    urgent.urgency = 0;
    queue.insert(old);
    queue.insert(urgent);
    jest.advanceTimersByTime(100);
    expect([expired, queue.next]).toEqual([[old], urgent]);
    jest.advanceTimersByTime(50);
    expect([expired, queue.next, discipline.said.length]).toEqual([[old, urgent], null, 4]);
  });
});

describe('the order', () => {
  test('is that of arrival; who arrived at the same time stays behind who was there', () => {
    const { queue } = queueOf();
    const [a, b, c] = [entryAt(1), entryAt(2), entryAt(2)];
    for (const entry of [a, b, c]) queue.insert(entry);
    expect([take(queue), take(queue), take(queue), take(queue)]).toEqual([a, b, c, null]);
  });

  test('puts who comes back at the original place', () => {
    const { queue } = queueOf();
    const entries = [1, 2, 3, 4].map((at) => entryAt(at));
    for (const entry of entries) queue.insert(entry);
    const [first, second, third] = entries as [Entry, Entry, Entry];
    for (const entry of [third, first, second]) queue.remove(entry);
    for (const entry of [second, third, first]) queue.insert(entry);
    expect(entriesOf(queue)).toEqual(entries);
  });

  test('is found at once for thousands that come back in front of thousands', () => {
    const { queue } = queueOf();
    const served = Array.from({ length: 20_000 }, (_, i) => entryAt(i));
    const held = Array.from({ length: 20_000 }, (_, i) => entryAt(20_000 + i));
    for (const entry of held) queue.insert(entry);
    jest.useRealTimers();
    const began = performance.now();
    for (const entry of served) queue.insert(entry);
    // Searched from either end this takes seconds.
    expect(performance.now() - began).toBeLessThan(500);
    expect(entriesOf(queue)).toEqual([...served, ...held]);
    while (take(queue) !== null);
  });

  test('and size and bytes are those of a sorted list, whatever comes and goes', () => {
    const steps = fc.array(
      fc.record({
        kind: fc.constantFrom('arrive', 'arrive', 'come back', 'take', 'leave', 'grow'),
        pick: fc.nat(),
        bytes: fc.nat({ max: 5_000 }),
      }),
      { maxLength: 300 },
    );
    fc.assert(
      fc.property(steps, (all) => runAgainstModel(all)),
      { numRuns: 200 },
    );
  });

  test('and size and bytes are right after 10,000 holds that leave in a random order', () => {
    const tally = new HeldTally();
    const { queue } = queueOf(30_000, tally);
    const entries = Array.from({ length: 10_000 }, (_, i) => entryAt(i, i % 7));
    for (const entry of entries) queue.insert(entry);
    expect([queue.size, tally.size, queue.bytes]).toEqual([10_000, 10_000, entries.reduce((sum, { heldBytes }) => sum + heldBytes, 0)]);
    const left = new Set(entries);
    for (const entry of shuffled(entries)) {
      queue.remove(entry);
      left.delete(entry);
      if (left.size % 1_000 === 0) expect(entriesOf(queue)).toEqual([...left]);
    }
    expect([queue.size, queue.bytes, tally.size, tally.bytes, queue.oldest]).toEqual([0, 0, 0, 0, null]);
    expect(jest.getTimerCount()).toBe(0);
  });
});

describe('bytes', () => {
  test('are counted over all queues of a node, and tell when no further read fits', () => {
    const read = PART_READ_BYTES;
    const tally = new HeldTally(4 * read);
    const [one, other] = [queueOf(30_000, tally).queue, queueOf(30_000, tally).queue];
    const [entry, another] = [entryAt(1, 20), entryAt(2, 30)];
    one.insert(entry);
    other.insert(another);
    expect([one.bytes, other.bytes, tally.bytes, tally.size]).toEqual([20, 30, 50, 2]);
    // One queue may keep half of it.
    expect([entry.grow(read - 20), entry.grow(1), another.grow(read - 30)]).toEqual([true, false, true]);
    expect([one.bytes, tally.bytes]).toEqual([read + 1, 2 * read + 1]);
    expect(another.grow(1)).toBe(false);
    one.remove(entry);
    expect(entry.grow(1_000_000)).toBe(true);
    expect([one.bytes, tally.bytes]).toEqual([0, read + 1]);
    expect(another.grow(-10)).toBe(true);
  });

  test('stop all that read in a queue, or at the node, before there are too many', () => {
    const read = PART_READ_BYTES;
    const tally = new HeldTally(6 * read);
    const queues = [0, 1, 2].map(() => queueOf(30_000, tally).queue) as [Queue, Queue, Queue];
    const stopped: string[] = [];
    const insert = (queue: Queue, name: string): Entry => {
      const entry = new ReadingEntry(1, () => stopped.push(name));
      queue.insert(entry);
      return entry;
    };
    const [a, , b, c] = [insert(queues[0], 'a'), insert(queues[0], 'a2'), insert(queues[1], 'b'), insert(queues[2], 'c')];
    expect(a.grow(2 * read)).toBe(true);
    expect(stopped).toEqual([]);
    expect(a.grow(1)).toBe(false);
    expect(stopped).toEqual(['a', 'a2']);
    expect(b.grow(2 * read)).toBe(true);
    expect(c.grow(read)).toBe(false);
    expect(stopped).toEqual(['a', 'a2', 'b', 'c']);
    // Each once.
    expect(c.grow(1)).toBe(false);
    expect(stopped).toHaveLength(4);
  });
});

describe('the deadline', () => {
  test('takes each entry out when it was held for so long, with one timer for all', () => {
    const { queue, expired } = queueOf(1_000);
    const entries = [0, 10, 500].map((at) => entryAt(performance.now() + at));
    for (const entry of entries) queue.insert(entry);
    expect(jest.getTimerCount()).toBe(1);
    jest.advanceTimersByTime(999);
    expect(expired).toEqual([]);
    jest.advanceTimersByTime(2);
    expect(expired).toEqual(entries.slice(0, 1));
    jest.advanceTimersByTime(10);
    expect(expired).toEqual(entries.slice(0, 2));
    expect([queue.size, jest.getTimerCount()]).toEqual([1, 1]);
    jest.advanceTimersByTime(490);
    expect([expired, queue.size, jest.getTimerCount()]).toEqual([entries, 0, 0]);
  });

  test('counts from the arrival for who comes back', () => {
    const { queue, expired } = queueOf(1_000);
    const [back, late] = [entryAt(performance.now()), entryAt(performance.now())];
    jest.advanceTimersByTime(600);
    queue.insert(entryAt(performance.now()));
    queue.insert(back);
    jest.advanceTimersByTime(401);
    expect(expired).toEqual([back]);
    queue.insert(late);
    jest.advanceTimersByTime(1);
    expect(expired).toEqual([back, late]);
    expect(queue.size).toBe(1);
  });

  test('follows the settings while clients are held', () => {
    const { queue, expired } = queueOf(10_000);
    const [first, second] = [entryAt(performance.now()), entryAt(performance.now() + 100)];
    queue.insert(first);
    queue.insert(second);
    jest.advanceTimersByTime(2_000);
    queue.patience(2_050);
    jest.advanceTimersByTime(51);
    expect(expired).toEqual([first]);
    queue.patience(60_000);
    jest.advanceTimersByTime(57_000);
    expect(expired).toEqual([first]);
    queue.patience(1_000);
    jest.advanceTimersByTime(1);
    expect([expired, jest.getTimerCount()]).toEqual([[first, second], 0]);
  });

  test('those that wait for a start have a patience of their own, in either direction', () => {
    for (const [hold, cold] of [
      [10_000, 1_000],
      [1_000, 10_000],
    ] as const) {
      const { queue, expired } = queueOf(hold);
      queue.patience(hold, cold);
      const entries = [true, false, true, false].map((isCold, i) => {
        const entry = entryAt(performance.now() + i);
        entry.cold = isCold;
        queue.insert(entry);
        return entry;
      });
      const [soon, late] = [cold < hold, cold > hold].map((which) => entries.filter((entry) => entry.cold === which));
      jest.advanceTimersByTime(1_030);
      expect(expired).toEqual(soon);
      jest.advanceTimersByTime(8_900);
      expect(expired).toEqual(soon);
      jest.advanceTimersByTime(100);
      expect(expired).toEqual([...(soon ?? []), ...(late ?? [])]);
      expect([queue.size, jest.getTimerCount()]).toEqual([0, 0]);
    }
  });

  test('finds who is put in while others expire', () => {
    const late: Entry[] = [];
    const expired: Entry[] = [];
    const queue: Queue = new HeldQueue(100, new HeldTally(), (entry) => {
      expired.push(entry);
      const next = late.pop();
      if (next !== undefined) queue.insert(next);
    });
    const [first, second] = [entryAt(performance.now()), entryAt(performance.now() + 1_000)];
    late.push(second);
    queue.insert(first);
    jest.advanceTimersByTime(101);
    expect([expired, queue.size, jest.getTimerCount()]).toEqual([[first], 1, 1]);
    jest.advanceTimersByTime(1_000);
    expect(expired).toEqual([first, second]);
  });

  test('leaves no timer behind when all have left', () => {
    const { queue, expired } = queueOf(100);
    const entry = entryAt(performance.now());
    queue.insert(entry);
    queue.remove(entry);
    queue.remove(entry);
    queue.patience(50);
    expect([queue.size, jest.getTimerCount()]).toEqual([0, 0]);
    jest.advanceTimersByTime(1_000);
    expect(expired).toEqual([]);
  });
});

interface Step {
  readonly kind: string;
  readonly pick: number;
  readonly bytes: number;
}

/** The same steps on a queue and on an array that is sorted each time. */
function runAgainstModel(steps: readonly Step[]): void {
  const { queue, tally } = queueOf();
  let model: Entry[] = [];
  const served: Entry[] = [];
  let clock = 0;
  for (const { kind, pick, bytes } of steps) {
    const chosen = model[pick % Math.max(1, model.length)];
    if (kind === 'arrive') {
      const entry = entryAt(clock++, bytes);
      queue.insert(entry);
      model.push(entry);
    } else if (kind === 'come back') {
      const [entry] = served.splice(pick % Math.max(1, served.length), 1);
      if (entry === undefined) continue;
      queue.insert(entry);
      model = [...model, entry].sort((a, b) => a.arrivedAt - b.arrivedAt);
    } else if (kind === 'take') {
      const entry = take(queue);
      expect(entry).toBe(model.shift() ?? null);
      if (entry !== null) served.push(entry);
    } else if (chosen !== undefined && kind === 'leave') {
      queue.remove(chosen);
      model = model.filter((entry) => entry !== chosen);
    } else {
      chosen?.grow(bytes);
    }
    expect(entriesOf(queue)).toEqual(model);
    const sum = model.reduce((total, { heldBytes }) => total + heldBytes, 0);
    expect([queue.size, queue.bytes, tally.size, tally.bytes]).toEqual([model.length, sum, model.length, sum]);
  }
  while (take(queue) !== null);
}

function shuffled<T>(items: readonly T[]): T[] {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [all[i], all[j]] = [all[j] as T, all[i] as T];
  }
  return all;
}
