/** Responses of the admin port that have no end: states, differences, the timeline. */
import { get, type IncomingMessage } from 'node:http';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { AdminServer } from '../../../src/admin/server.ts';
import type { ClusterEvent } from '../../../src/events/event.ts';
import { createLog } from '../../../src/log.ts';
import { FakeSource } from '../../support/harness/admin-source.ts';
import { anInstance, aRoute, aState, NOW } from '../../support/harness/pictures.ts';

let source: FakeSource;
let server: AdminServer;
let base: string;

async function start(eventsEveryMs = 20): Promise<void> {
  const listen = { host: '127.0.0.1', port: 0 };
  server = new AdminServer({ listen, source, log: createLog('test', 'silent'), eventsEveryMs });
  base = `http://${await server.start()}`;
}

beforeEach(async () => {
  source = new FakeSource();
  await start();
});
afterEach(() => server.stop());

function subscribe(path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(`${base}${path}`, resolve).on('error', reject);
  });
}

interface Heard {
  readonly event?: string;
  readonly id?: string;
  readonly data: Record<string, unknown>;
}

async function* heard(response: IncomingMessage): AsyncGenerator<Heard, Heard> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    const events = (text + chunk).split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) {
      const { data, ...fields } = Object.fromEntries(event.split('\n').map((line) => line.split(/: (.*)/s)));
      if (data !== undefined) yield { ...fields, data: JSON.parse(data) };
    }
  }
  throw new Error('it has ended');
}

const DIFFERENCES = '/api/v1/events?differences';
const anEvent = (number: number): ClusterEvent => ({
  id: `${NOW}-${number}`,
  at: NOW,
  code: 'linker_refused',
  level: 'warning',
  source: 'a',
  node: null,
  route: number % 2 === 0 ? 'even.test' : null,
  text: `event ${number}`,
  count: 1,
});

test('as differences begin with a state, then have what changes, also for who comes later', async () => {
  source.picture = aState({ routes: [aRoute({ name: 'a.test' }), aRoute({ name: 'b.test', instances: [anInstance()] })] });
  const response = await subscribe(DIFFERENCES);
  const early = heard(response);
  const first = (await early.next()).value;
  expect(first).toMatchObject({ event: 'state', data: source.picture });
  source.picture = { ...source.picture, routes: [aRoute({ name: 'b.test', held: 3, instances: [anInstance({ active: 4 })] })] };
  let routes: unknown;
  let number = Number(first.id);
  for (let i = 0; routes === undefined && i < 50; i++) {
    const { event, id, data } = (await early.next()).value;
    expect([event, data.from, Number(id)]).toEqual(['difference', number, number + 1]);
    number = Number(id);
    routes = data.routes;
  }
  // What did not change is not said.
  const changed = { name: 'b.test', held: 3, instances: { set: [anInstance({ active: 4 })], gone: [] } };
  expect(routes).toEqual({ set: [changed], gone: ['a.test'] });
  const late = await subscribe(DIFFERENCES);
  expect((await heard(late).next()).value).toMatchObject({ event: 'state', data: source.picture });
  late.destroy();
  response.destroy();
});

test('as differences bring the timeline: what happened before, and what happens', async () => {
  source.happened = [anEvent(1), anEvent(2)];
  const response = await subscribe(DIFFERENCES);
  const events = heard(response);
  const next = async (): Promise<unknown> => {
    for (;;) {
      const { event, data } = (await events.next()).value;
      if (event === 'happened') return data.text;
    }
  };
  expect([await next(), await next()]).toEqual(['event 1', 'event 2']);
  source.happened = [...source.happened, anEvent(3)];
  expect(await next()).toBe('event 3');
  response.destroy();
});

test('of the timeline follow each other without a gap, for a route, from where a reader was', async () => {
  source.happened = [anEvent(1), anEvent(2), anEvent(3)];
  const response = await subscribe('/api/v1/timeline?follow&max=2');
  const events = heard(response);
  const texts = [(await events.next()).value.data.text, (await events.next()).value.data.text];
  expect(texts).toEqual(['event 2', 'event 3']);
  source.happened = [...source.happened, anEvent(4)];
  const fourth = (await events.next()).value;
  expect(fourth).toMatchObject({ id: `${NOW}-4`, data: { code: 'linker_refused', advice: expect.stringMatching(/Compare --secret/) } });
  response.destroy();
  const again = await subscribe(`/api/v1/timeline?follow&after=${NOW}-1&route=even.test`);
  const evens = heard(again);
  expect([(await evens.next()).value.data.text, (await evens.next()).value.data.text]).toEqual(['event 2', 'event 4']);
  again.destroy();
  for (const query of ['follow=1', 'differences=no', 'x']) {
    expect([query, (await fetch(`${base}/api/v1/events?${query}`)).status]).toEqual([query, 400]);
  }
});

test('as differences do not pile up for a reader that is slow; when it reads again, it gets what has changed since', async () => {
  await server.stop();
  // A slow machine makes each of these large states in good time.
  await start(3_000);
  const settings = { note: 'x'.repeat(3_000) };
  let tick = 0;
  Object.defineProperty(source, 'picture', {
    get: () => aState({ routes: Array.from({ length: 3_000 }, (_, i) => aRoute({ name: `r${i}.test`, active: tick + i, settings })) }),
  });
  const slow = await subscribe(DIFFERENCES);
  slow.pause();
  const quickResponse = await subscribe(DIFFERENCES);
  const quick = heard(quickResponse);
  const seen: (string | undefined)[] = [];
  // The slow one misses these, since it has not read its first state.
  for (let i = 0; i < 3; i++) {
    tick++;
    seen.push((await quick.next()).value.event);
  }
  expect(seen).toEqual(['state', 'difference', 'difference']);
  quickResponse.destroy();
  let last = 0;
  const kinds: (string | undefined)[] = [];
  for await (const { event, id, data } of heard(slow)) {
    kinds.push(event);
    if (event === 'difference') {
      // All that it has missed, in one.
      expect([data.from, Number(id) - last > 1]).toEqual([last, true]);
      break;
    }
    last = Number(id);
  }
  expect(kinds).toEqual(['state', 'difference']);
});
