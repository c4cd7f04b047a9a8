import { afterEach, expect, test } from '@jest/globals';
import { MemoryEventLog } from '../../../src/cluster/memory/event-log.ts';
import { EventRecorder } from '../../../src/events/recorder.ts';

const WARN = 40;
let now = 1_000_000;
let recorder: EventRecorder;
afterEach(() => recorder.close());

function record(connected = true): { eventLog: MemoryEventLog; connected: boolean } {
  const to = { eventLog: new MemoryEventLog(() => now), connected };
  recorder = new EventRecorder('a', () => now);
  recorder.sendTo(to);
  return to;
}

test('what repeats is told once a minute, with how often it happened', async () => {
  const { eventLog } = record();
  for (let i = 0; i < 1_000; i++) recorder.take(WARN, 'linker refused', { peer: `10.0.0.${i % 9}:1`, reason: 'another secret' });
  await recorder.flush();
  now += 61_000;
  recorder.take(WARN, 'linker refused', { peer: '10.0.0.1:1', reason: 'another secret' });
  await recorder.flush();
  const { events } = await eventLog.since(null, 10);
  expect(events.map(({ code, count }) => [code, count])).toEqual([
    ['linker_refused', 1],
    ['linker_refused', 1_000],
  ]);
  expect(recorder.counts).toEqual({ 'warning linker_refused': 1_001 });
});

test('what ends something is told each time, also when it was told a moment ago', async () => {
  const { eventLog } = record();
  for (let i = 0; i < 2; i++) {
    recorder.take(30, 'connected to Redis', {});
    recorder.take(WARN, 'disconnected from Redis', {});
  }
  recorder.take(30, 'connected to Redis', {});
  // Nothing is left to be ended.
  recorder.take(30, 'connected to Redis', {});
  await recorder.flush();
  const { events } = await eventLog.since(null, 10);
  const [up, down] = ['redis_connected', 'redis_disconnected'];
  expect(events.map(({ code }) => code)).toEqual([up, down, up, down, up]);
});

test('who connects to the backend port and leaves is no trouble', async () => {
  const { eventLog } = record();
  recorder.take(WARN, 'linker refused', { peer: '10.0.0.1:1', reason: 'the peer closed the link' });
  await recorder.flush();
  expect((await eventLog.since(null, 10)).events).toMatchObject([{ code: 'linker_broke_off', level: 'note' }]);
});

test('while the directory is away events wait, are bounded, and are told with their age when it is back', async () => {
  const to = record(false);
  for (let i = 0; i < 2_000; i++) recorder.take(WARN, 'a node stopped beating: removing its entries', { node: `n${i}` });
  expect(recorder.waiting.length).toBeLessThanOrEqual(120);
  now += 5_000;
  to.connected = true;
  await recorder.flush();
  const { events } = await to.eventLog.since(null, 10);
  expect(events[0]).toMatchObject({ code: 'node_lost', node: 'n0', at: now - 5_000 });
  expect(recorder.waiting).toEqual([]);
});

test('a line that nobody has described is told as it is', async () => {
  const { eventLog } = record();
  recorder.take(50, 'something new', { reason: 'why\u001b[31m', route: 'app.test' });
  recorder.take(30, 'something orderly', {});
  await recorder.flush();
  const { events } = await eventLog.since(null, 10);
  expect(events).toMatchObject([{ code: 'other', level: 'error', route: 'app.test' }]);
  expect(events[0]?.text).not.toContain('\u001b');
});
