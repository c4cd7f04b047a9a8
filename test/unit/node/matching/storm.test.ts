/**
 * A storm of retries in simulated time: an application with four workers of 80 ms each, which goes on with a request whose client has left, as most
 * applications do; honest clients at half of what it can do; and beside them clients that leave after two seconds and ask three times.
 */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { RouteSettings } from '../../../../src/config/route-settings.ts';
import type { Route } from '../../../../src/node/matching/route.ts';
import { Bench } from '../../../support/harness/dispatch-bench.ts';
import { lender, type StandInLender, StandInVisit } from '../../../support/harness/stand-ins.ts';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

const STEP_MS = 5;
const WORK_MS = 80;
const WORKERS = 4;
const PER_SECOND = (WORKERS * 1_000) / WORK_MS;
const PATIENCE_MS = 2_000;

interface Client {
  readonly honest: boolean;
  readonly tries: number;
  readonly visit: StandInVisit;
  readonly since: number;
  /** It was given to the application. */
  isIn: boolean;
}

class Storm {
  readonly bench = new Bench();
  readonly route: Route;
  readonly served: { readonly honest: boolean; readonly at: number }[] = [];
  #clients: Client[] = [];
  /** What the application has, oldest first; null: its client has left. */
  readonly #inside: { client: Client | null; endsAt: number | null }[] = [];
  readonly #one: StandInLender = lender(1, WORKERS);
  now = 0;

  constructor(settings: Partial<RouteSettings>) {
    this.route = this.bench.route(settings);
    this.bench.links(this.route, this.#one);
  }

  run(ms: number, honestPerSecond: number, stormPerSecond: number): void {
    for (const until = this.now + ms; this.now < until; this.now += STEP_MS) {
      for (const [honest, rate] of [
        [true, honestPerSecond],
        [false, stormPerSecond],
      ] as const) {
        const due = (at: number): number => Math.floor((at * rate) / 1_000);
        for (let i = due(this.now); i < due(this.now + STEP_MS); i++) this.#asks(honest, honest ? 1 : 3);
      }
      jest.advanceTimersByTime(STEP_MS);
      this.#work();
      this.#look();
    }
  }

  countServed(from: number, to: number, honest?: boolean): number {
    return this.served.filter((one) => one.at >= from && one.at < to && (honest === undefined || one.honest === honest)).length;
  }

  #asks(honest: boolean, tries: number): void {
    const visit = this.bench.arrives(this.route, new StandInVisit());
    this.#clients.push({ honest, tries, visit, since: this.now, isIn: false });
  }

  /** Clients that have a slot are in the application from then on; those who have waited for too long leave, also from there. */
  #look(): void {
    const again: Client[] = [];
    this.#clients = this.#clients.filter((client) => {
      const { visit } = client;
      if (visit.refused.length > 0) {
        again.push(client);
        return false;
      }
      if (visit.served.length > 0 && !client.isIn) {
        client.isIn = true;
        this.#inside.push({ client, endsAt: null });
      }
      if (this.now - client.since < PATIENCE_MS || visit.isOver) return !visit.isOver;
      this.route.left(visit, performance.now());
      this.bench.holds.release(visit);
      visit.left = true;
      const request = this.#inside.find((one) => one.client === client);
      if (request !== undefined) {
        request.client = null;
        this.bench.ends(this.route, this.#one);
      }
      again.push(client);
      return false;
    });
    for (const { honest, tries } of again) if (tries > 1) this.#asks(honest, tries - 1);
  }

  #work(): void {
    const done = this.#inside.filter(({ endsAt }) => endsAt !== null && endsAt <= this.now);
    for (const one of done) {
      this.#inside.splice(this.#inside.indexOf(one), 1);
      if (one.client === null) continue;
      this.served.push({ honest: one.client.honest, at: this.now });
      one.client.visit.left = true;
      this.bench.ends(this.route, this.#one);
    }
    const busy = this.#inside.filter(({ endsAt }) => endsAt !== null).length;
    const next = this.#inside.filter(({ endsAt }) => endsAt === null).slice(0, WORKERS - busy);
    for (const one of next) one.endsAt = this.now + WORK_MS;
  }
}

function weather(settings: Partial<RouteSettings>, times: number): Storm {
  const storm = new Storm(settings);
  storm.run(3_000, PER_SECOND / 2, 0);
  storm.run(20_000, PER_SECOND / 2, PER_SECOND * times);
  storm.run(12_000, PER_SECOND / 2, 0);
  return storm;
}

describe.each([2, 10])('in a storm of %p times what the application can do', (times) => {
  test('it goes on serving clients who are there, and all honest ones are served a second after it', () => {
    const storm = weather({}, times);
    // The first two seconds tell how long clients wait; then it takes a moment until what they left behind is done.
    expect(storm.countServed(6_000, 23_000) / 17).toBeGreaterThan(0.9 * PER_SECOND);
    // The last of the storm come again for as long.
    const last = 23_000 + 2 * PATIENCE_MS;
    expect(storm.countServed(last + 1_000, last + 6_000, true) / 5).toBeGreaterThan(0.95 * (PER_SECOND / 2));
    // A short rush is none: everybody waits for as long as it takes.
    const refused = (): number => storm.bench.visits.filter((visit) => visit.refused.length > 0).length;
    const before = refused();
    expect(before).toBeGreaterThan(0);
    storm.run(1_000, 2 * PER_SECOND, 0);
    storm.run(2_000, 0, 0);
    expect(refused()).toBe(before);
  });

  test('first come, first served, nobody is served, and nobody is after it either', () => {
    const storm = weather({ queueOrder: 'fifo' }, times);
    expect(storm.countServed(6_000, 23_000) / 17).toBeLessThan(0.3 * PER_SECOND);
    expect(storm.countServed(28_000, 33_000, true) / 5).toBeLessThan(0.3 * PER_SECOND);
  });
});
