/** An overload of a route concerns some of its clients, and spares others. */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { RouteSettings } from '../../../../src/config/route-settings.ts';
import type { Route } from '../../../../src/node/matching/route.ts';
import type { BrowserRequest, Visit } from '../../../../src/node/matching/visit.ts';
import { Bench } from '../../../support/harness/dispatch-bench.ts';
import { lender, type StandInLender, StandInVisit } from '../../../support/harness/stand-ins.ts';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

const PATIENCE_MS = 2_000;

interface Place {
  readonly bench: Bench;
  readonly route: Route;
  readonly one: StandInLender;
}

class Browser extends StandInVisit {
  override get browser(): BrowserRequest {
    return { host: 'app.test', client: '127.0.0.1', proto: 'http', field: () => null };
  }
}

function said(says: Readonly<Record<string, string>>): StandInVisit {
  const visit = new StandInVisit();
  visit.says = says;
  return visit;
}

function leaves({ bench, route }: Place, visit: StandInVisit): void {
  route.left(visit, performance.now());
  bench.holds.release(visit);
  visit.left = true;
}

function lone(settings: Partial<RouteSettings> = {}): Place {
  const bench = new Bench();
  const route = bench.route(settings);
  const one = lender(1, 1);
  bench.links(route, one);
  return { bench, route, one };
}

/** One is served every 10 ms, and three come who leave after two seconds. */
function rush(place: Place, ms: number, who: () => StandInVisit = () => new StandInVisit()): void {
  const { bench, route, one } = place;
  for (const until = performance.now() + ms; performance.now() < until; jest.advanceTimersByTime(10)) {
    for (let i = 0; i < 3; i++) bench.arrives(route, who());
    for (const visit of bench.visits) {
      if (visit.queue !== null && performance.now() - visit.arrivedAt >= PATIENCE_MS) leaves(place, visit);
    }
    if (one.stub.active > 0) bench.ends(route, one);
  }
}

function overloaded(settings: Partial<RouteSettings> = {}, who?: () => StandInVisit): Place {
  const place = lone(settings);
  rush(place, 5_000, who);
  expect(place.route.crowds?.leastMs).toBeLessThanOrEqual(PATIENCE_MS / 4);
  return place;
}

const codes = (visits: readonly StandInVisit[]): string[] => visits.flatMap((visit) => visit.codes);
const oldestMs = ({ route }: Place): number => performance.now() - (route.held.oldest as Visit).arrivedAt;

test('in an overload clients are refused as such, at once or when they have waited too long, and are told when to come again', () => {
  const place = overloaded();
  const refused = place.bench.visits.flatMap((visit) => visit.refused);
  expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(['overload']));
  for (const { kind } of refused) expect(kind).toMatchObject({ status: 503, details: 'overload', retryAfter: expect.any(Number) });
  expect(place.bench.visits.some((visit) => visit.refused.length > 0 && visit.holdId === '')).toBe(true);
  expect(oldestMs(place)).toBeLessThan(PATIENCE_MS / 2);
});

test('where the route says fifo, clients leave and nobody is refused', () => {
  const place = lone({ queueOrder: 'fifo' });
  rush(place, 5_000);
  expect(codes(place.bench.visits)).toEqual([]);
});

test('when the route says fifo in an overload, it is over for those who are held', () => {
  const place = overloaded();
  place.bench.route({ queueOrder: 'fifo' });
  const before = codes(place.bench.visits).length;
  rush(place, 1_000);
  expect(codes(place.bench.visits)).toHaveLength(before);
});

test('clients who wait for a start are not refused for what others have had patience for, nor do they tell of theirs', () => {
  const bench = new Bench();
  const route = bench.route();
  const place = { bench, route, one: lender(1, 1) };
  for (let i = 0; i < 200; i++) bench.arrives(route);
  jest.advanceTimersByTime(PATIENCE_MS);
  for (const visit of bench.visits.slice(0, 100)) leaves(place, visit);
  bench.links(route, place.one);
  rush(place, 6_000);
  expect(route.crowds?.leastMs).toBeLessThanOrEqual(PATIENCE_MS / 4);
  // They came first and have waited for longer than anybody may now.
  expect(codes(bench.visits.slice(100, 200))).toEqual([]);
});

test('a client whose stream failed is not refused when it comes back: it was accepted', () => {
  const place = overloaded();
  const { bench, route, one } = place;
  const served = bench.visits.findLast((visit) => visit.served.length > 0) as StandInVisit;
  bench.dispatcher.retry(served);
  one.stub.active--;
  jest.advanceTimersByTime(PATIENCE_MS / 2);
  expect(served.codes).toEqual([]);
  bench.links(route, lender(2, 1));
  expect(served.served).toHaveLength(2);
});

test('nobody is refused for his wait while the route is paused, and a client that leaves then tells nothing', () => {
  const place = overloaded();
  const { bench, route } = place;
  route.pause();
  const before = codes(bench.visits).length;
  const held = [bench.arrives(route), bench.arrives(route)] as const;
  jest.advanceTimersByTime(20_000);
  expect(codes(bench.visits)).toHaveLength(before);
  leaves(place, held[0]);
  route.resume();
  jest.advanceTimersByTime(10);
  expect(held[1].codes).toEqual([]);
});

test('a browser is shown the page of a route that has one instead of an error', () => {
  const place = overloaded({ waitingPageAfterMs: 60_000 }, () => new Browser());
  expect(new Set(codes(place.bench.visits))).toEqual(new Set(['waiting_page']));
});

test('a patient class is not refused for the impatience of another, and the urgent one is served as before', () => {
  const place = lone({ priority: { from: 'header', name: 'x' }, trustClients: true, priorityWaitMs: 0 });
  const { bench, route } = place;
  const batch = [said({ x: '7' }), said({ x: '7' })];
  for (const visit of batch) bench.arrives(route, visit);
  rush(place, 5_000, () => said({ x: '3' }));
  expect(codes(bench.visits)).toContain('overload');
  const urgent = bench.arrives(route, said({ x: '0' }));
  rush(place, 100, () => said({ x: '3' }));
  expect([urgent.served.length, ...codes([urgent, batch[1] as StandInVisit])]).toEqual([1]);
});

test('where values share, those who are next are not refused because a loud one is impatient', () => {
  const place = lone({ fairBy: { from: 'header', name: 'x' }, trustClients: true });
  const { bench, route } = place;
  rush(place, 5_000, () => said({ x: 'loud' }));
  expect(codes(bench.visits)).toContain('overload');
  for (let i = 0; i < 20; i++) {
    const quiet = bench.arrives(route, said({ x: 'quiet' }));
    rush(place, 40, () => said({ x: 'loud' }));
    expect([quiet.served.length, quiet.codes]).toEqual([1, []]);
  }
});
