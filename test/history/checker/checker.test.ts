/** The checker against short histories that are right, and the same with one thing wrong. */
import { expect, test } from '@jest/globals';
import type { HistoryEvent, ProcessBegan, Role, WithoutTime } from '../events.ts';
import { Checker } from './checker.ts';
import { Offsets } from './clocks.ts';
import { findingText, MS, SECOND } from './line.ts';

class Story {
  readonly checker = new Checker();
  /** Microseconds. */
  now = 0;
  readonly #processes = new Map<string, ProcessBegan>();

  by(role: Role, name: string): ProcessBegan {
    const key = `${role} ${name}`;
    const known = this.#processes.get(key);
    if (known !== undefined) return known;
    const by: ProcessBegan = { e: 'process', t: this.now, role, name, pid: this.#processes.size, clock: 'one', wallMs: 0 };
    this.#processes.set(key, by);
    this.checker.take({ event: by, by });
    return by;
  }

  says(by: ProcessBegan, event: WithoutTime<HistoryEvent>, afterMs = 1): this {
    this.now += afterMs * MS;
    this.checker.take({ event: { t: this.now, ...event } as HistoryEvent, by });
    return this;
  }

  /** Nothing but time passes. */
  passes(ms: number): this {
    for (let left = ms; left > 0; left -= 20) this.says(this.by('operator', 'operator'), { e: 'clock', wallMs: 0 }, Math.min(20, left));
    return this;
  }

  sent(id: string, method = 'GET', node = 'n0', more: { tenant?: string; urgency?: number } = {}): this {
    return this.says(this.by('client', 'clients'), { e: 'send', id, node, route: 'a.test', method, ...more });
  }

  got(id: string, status = 200, more: { body?: string; instance?: string; why?: string } = { body: id, instance: 'i0' }): this {
    return this.says(this.by('client', 'clients'), { e: 'got', id, status, ...more });
  }

  held(id: string, node = 'n0'): this {
    return this.says(this.by('node', node), { e: 'held', id, route: 'a.test' });
  }

  opened(id: string, node = 'n0', instance = 'i0'): this {
    return this.says(this.by('node', node), { e: 'opened', id, route: 'a.test', instance, attempt: 1 });
  }

  over(id: string, node = 'n0'): this {
    return this.says(this.by('node', node), { e: 'over', id, status: 200, end: '--' });
  }

  begins(id: string, method = 'GET', host = 'a.test', key?: string): this {
    return this.says(this.by('app', 's0'), { e: 'begin', id, method, host, ...(key === undefined ? {} : { key }) });
  }

  ends(id: string, app = 's0'): this {
    return this.says(this.by('app', app), { e: 'end', id, whole: true });
  }

  fault(n: number, what: string, more: { of?: string; does?: 'dies' | 'ends' | 'silent' | 'cut' } = {}): this {
    return this.says(this.by('operator', 'operator'), { e: 'fault', n, what, ...more, disturbs: true });
  }

  mended(n: number): this {
    return this.says(this.by('operator', 'operator'), { e: 'mended', n });
  }

  /** An instance that lends `limit` slots. */
  instance(limit = 1, startId = 's0', instance = 'i0', route = 'a.test'): this {
    return this.says(this.by('app', startId), { e: 'up', instance, route, startId, limit }).says(this.by('linker', startId), {
      e: 'lends',
      instance,
      route,
    });
  }

  served(id: string): this {
    return this.sent(id).opened(id).begins(id).ends(id).over(id).got(id);
  }

  /** The rules that were broken. */
  get rules(): string[] {
    this.passes(15_000).says(this.by('operator', 'operator'), { e: 'quiet', seed: 1 });
    this.checker.end();
    return [...new Set(this.checker.findings.map(({ rule }) => rule))];
  }
}

test('a history in which all is right shows nothing', () => {
  const story = new Story().instance(2).served('r0').served('r1');
  expect(story.rules).toEqual([]);
  expect(story.checker.end()).toMatchObject({ requests: 2, answered: 2, begun: 2, mostAtOnce: 1 });
});

test('a request without an answer at the end of a whole history is found', () => {
  expect(new Story().instance().sent('r0').rules).toEqual(['one answer']);
});

test('an answer to another request, an answer from nowhere and a second answer are found', () => {
  expect(new Story().instance(2).sent('r0').begins('r0').ends('r0').got('r0', 200, { body: 'r9', instance: 'i0' }).rules).toEqual([
    'its own answer',
  ]);
  expect(new Story().instance().sent('r0').got('r0').rules).toEqual(['its own answer']);
  expect(new Story().instance().served('r0').got('r0').rules).toEqual(['one answer']);
});

test('a request that is not idempotent may reach applications once, and others again', () => {
  const twice = (method: string): string[] =>
    new Story().instance(1).sent('r0', method).begins('r0', method).ends('r0').begins('r0', method).ends('r0').got('r0').rules;
  expect(twice('GET')).toEqual([]);
  expect(twice('POST')).toEqual(['served once']);
});

test('a broken connection needs a fault that explains it, at the place where the request was', () => {
  const broken = (story: Story): string[] => story.got('r0', 0, { why: 'ECONNRESET' }).rules;
  expect(broken(new Story().instance().sent('r0'))).toEqual(['explained']);
  expect(broken(new Story().instance().sent('r0').fault(0, 'kill', { of: 'node:n0', does: 'dies' }))).toEqual([]);
  expect(broken(new Story().instance().sent('r0').fault(0, 'kill', { of: 'node:n1', does: 'dies' }))).toEqual(['explained']);
});

test('a kept connection that closes at the moment of its reuse is no failure, unless the request was there', () => {
  const kept = { why: 'kept closed' };
  expect(new Story().sent('r0').got('r0', 0, kept).rules).toEqual([]);
  expect(new Story().instance().sent('r0').opened('r0').begins('r0').ends('r0').over('r0').got('r0', 0, kept).rules).toEqual(['explained']);
});

test('an instance that was lost explains a 502 for what may not be sent again, and none for what may', () => {
  const lost = (method: string): string[] =>
    new Story()
      .instance()
      .sent('r0', method)
      .opened('r0')
      .begins('r0', method)
      .fault(0, 'kill', { of: 'linker:s0', does: 'dies' })
      .mended(0)
      .got('r0', 502, { why: 'pullproxy; error=connection_terminated' }).rules;
  expect(lost('POST')).toEqual([]);
  expect(lost('GET')).toEqual(['explained']);
});

test('a freeze explains a failure only when it lasts as long as a peer that seems dead', () => {
  const frozen = (ms: number): string[] =>
    new Story()
      .instance()
      .sent('r0')
      .fault(0, 'freeze', { of: 'node:n0', does: 'silent' })
      .passes(ms)
      .mended(0)
      .got('r0', 0, { why: 'closed' }).rules;
  expect(frozen(3_000)).toEqual([]);
  expect(frozen(500)).toEqual(['explained']);
});

test('one request more than the limit is found, and limits move: a lower one counts when it was agreed, a higher one when it was asked for', () => {
  const app = (story: Story): ProcessBegan => story.by('app', 's0');
  const two = (story: Story): Story => story.sent('r0').begins('r0').sent('r1').begins('r1').ends('r0').ends('r1').got('r0').got('r1');
  expect(two(new Story().instance(1)).rules).toEqual(['limit']);
  const raised = new Story().instance(1);
  expect(two(raised.says(app(raised), { e: 'asks', limit: 2 })).rules).toEqual([]);
  const asked = new Story().instance(2);
  expect(two(asked.says(app(asked), { e: 'asks', limit: 1 })).rules).toEqual([]);
  const agreed = new Story().instance(2);
  expect(two(agreed.says(app(agreed), { e: 'asks', limit: 1 }).says(app(agreed), { e: 'agreed', limit: 1 })).rules).toEqual(['limit']);
});

test('somebody who is held for 600 ms while a slot lies idle is found, not within 400 ms, not after a fault, and not while the machine stood still', () => {
  const held = (ms: number, before: (story: Story) => Story = (same) => same): string[] =>
    before(new Story().instance(1).passes(60).sent('r0').held('r0', 'n1'))
      .passes(ms)
      .opened('r0', 'n1')
      .begins('r0')
      .ends('r0')
      .over('r0', 'n1')
      .got('r0').rules;
  expect(held(600)).toEqual(['idle slot']);
  expect(held(400)).toEqual([]);
  expect(held(600, (story) => story.fault(0, 'empty Redis').mended(0))).toEqual([]);
  expect(held(350, (story) => story.says(story.by('node', 'n1'), { e: 'stall', lateMs: 300, ownCpuMs: 0 }, 300))).toEqual([]);
  // Where nodes do not hear each other, a beat tells them.
  const deaf = (story: Story): Story =>
    story.says(story.by('operator', 'operator'), { e: 'fault', n: 0, what: 'messages are lost', disturbs: false, deafens: true });
  expect(held(1_400, deaf)).toEqual([]);
  expect(held(1_600, deaf)).toEqual(['idle slot']);
  // What a process does itself is no excuse.
  expect(held(350, (story) => story.says(story.by('node', 'n1'), { e: 'stall', lateMs: 300, ownCpuMs: 300 }, 300))).toEqual(['idle slot']);
});

test('slots that are given away all the time are not idle', () => {
  const story = new Story().instance(2).sent('r0').held('r0', 'n1');
  for (let i = 1; i < 60; i++) story.sent(`r${i}`).opened(`r${i}`).begins(`r${i}`).passes(8).ends(`r${i}`).over(`r${i}`).got(`r${i}`);
  story.opened('r0', 'n1').begins('r0').ends('r0').over('r0', 'n1').got('r0');
  expect(story.rules).toEqual([]);
});

test('at one node who was held first is served first', () => {
  const served = (first: string, second: string): string[] => {
    const story = new Story().sent('r0').held('r0').passes(40).sent('r1').held('r1').passes(40).instance(2);
    for (const id of [first, second]) story.opened(id).begins(id).ends(id).over(id).got(id);
    return story.rules;
  };
  expect(served('r0', 'r1')).toEqual([]);
  expect(served('r1', 'r0')).toEqual(['order']);
});

test('of two classes the more urgent one is served first, and a tenant that waits is not passed by another one again and again', () => {
  const both = { tenant: 'a', urgency: 1 };
  const urgent = new Story()
    .sent('r0', 'GET', 'n0', both)
    .held('r0')
    .sent('r1', 'GET', 'n0', { ...both, urgency: 3 })
    .held('r1')
    .passes(40);
  expect(
    urgent.instance(2).opened('r1').begins('r1').ends('r1').over('r1').got('r1').opened('r0').begins('r0').ends('r0').got('r0').rules,
  ).toEqual(['order']);
  const left = new Story().sent('r0', 'GET', 'n0', both).held('r0').sent('r1', 'GET', 'n0', both).held('r1').passes(40).instance(2);
  // Its client has just left, and is as urgent as before.
  left.got('r0', 0, { why: 'left' }).opened('r0').over('r0').opened('r1').begins('r1').ends('r1').over('r1').got('r1');
  expect(left.rules).toEqual([]);
  const story = new Story().sent('q', 'GET', 'n1', both).held('q', 'n1').instance(1);
  for (let i = 0; i < 30; i++) {
    const id = `r${i}`;
    story.sent(id, 'GET', 'n0', { tenant: 'b', urgency: 1 }).opened(id).begins(id).ends(id).over(id).got(id);
  }
  expect(story.opened('q', 'n1').begins('q').ends('q').over('q', 'n1').got('q').rules).toEqual(['order']);
});

test('a request that reaches an instance that has left, a paused route or an application of another route or key is found', () => {
  const left = new Story().instance(1);
  left.says(left.by('linker', 's0'), { e: 'leaves', instance: 'i0', route: 'a.test' }).passes(1_500);
  expect(left.sent('r0').begins('r0').ends('r0').got('r0').rules).toEqual(['left']);
  const paused = new Story().instance(1);
  paused.says(paused.by('operator', 'operator'), { e: 'paused', route: 'a.test' });
  expect(paused.sent('r0').begins('r0').ends('r0').got('r0').rules).toEqual(['paused']);
  expect(new Story().instance(1).sent('r0').begins('r0', 'GET', 'b.test').ends('r0').got('r0').rules).toEqual(['its route']);
  const keyed = (key: string): string[] =>
    new Story().instance(1, 's0', 'i0', 'a.test~red').sent('r0').begins('r0', 'GET', 'a.test', key).ends('r0').got('r0').rules;
  expect(keyed('red')).toEqual([]);
  expect(keyed('blue')).toEqual(['its route']);
});

test('a key that is served by two instances where it may have one is found, and not when the first one has been told to end', () => {
  const two = (between: (story: Story) => Story): string[] => {
    const story = new Story();
    story.says(story.by('operator', 'operator'), { e: 'route', route: 'a.test~red', maxInstances: 1, concurrency: 1, fair: false });
    story.instance(1, 's0', 'i0', 'a.test~red').sent('r0').begins('r0', 'GET', 'a.test', 'red').ends('r0').got('r0');
    between(story).instance(1, 's1', 'i1', 'a.test~red').sent('r1');
    story.says(story.by('app', 's1'), { e: 'begin', id: 'r1', method: 'GET', host: 'a.test', key: 'red' });
    return story.ends('r1', 's1').got('r1', 200, { body: 'r1', instance: 'i1' }).rules;
  };
  expect(two((story) => story)).toEqual(['its key']);
  expect(two((story) => story.says(story.by('app', 's0'), { e: 'told' }))).toEqual([]);
});

test('a start beyond the most instances, one that nobody needs and one that never comes are found', () => {
  const route = (story: Story, maxInstances = 2): Story =>
    story.says(story.by('operator', 'operator'), { e: 'route', route: 'a.test', maxInstances, concurrency: 1, fair: false });
  const start = (story: Story, startId: string): Story =>
    story.says(story.by('command', startId), { e: 'start', startId, route: 'a.test', pid: 0 });
  const asked = (story: Story): Story => story.sent('r0').sent('r1').sent('r2');
  const answered = (story: Story): Story => {
    for (const id of ['r0', 'r1', 'r2']) story.opened(id).begins(id).ends(id).over(id).got(id);
    return story;
  };
  expect(answered(start(start(asked(route(new Story())), 's0').instance(1), 's1')).rules).toEqual([]);
  expect(answered(start(start(asked(route(new Story(), 1)), 's0').instance(1), 's1')).rules).toEqual(['starts']);
  expect(start(route(new Story()), 's0').rules).toEqual(['starts']);
  // What an application does for a client that has gone takes its slot, too.
  const left = start(route(new Story()).sent('r0'), 's0').instance(1).opened('r0').begins('r0').got('r0', 0, { why: 'left' });
  start(left.passes(5_000).sent('r1').held('r1'), 's1').ends('r0').opened('r1').begins('r1').ends('r1').over('r1').got('r1');
  expect(left.rules).toEqual([]);
  // One more takes the place of one that is to be replaced.
  const restarted = start(asked(route(new Story(), 1)), 's0').instance(1);
  restarted.says(restarted.by('operator', 'operator'), { e: 'restarts', route: 'a.test' });
  expect(answered(start(restarted, 's1')).rules).toEqual([]);
  expect(answered(asked(route(new Story())).passes(9_000).instance(1)).rules).toEqual(['starts']);
});

test('a finding is told as what happened, in the order of time', () => {
  const story = new Story().instance(1).sent('r0').begins('r0').sent('r1').begins('r1').ends('r0').ends('r1').got('r0').got('r1');
  expect(story.rules).toEqual(['limit']);
  const text = story.checker.findings.map(findingText).join('\n');
  expect(text).toMatch(
    /^limit: 2 requests at once in an application that takes 1\n +0\.0 ms +app:s0 +up .*limit=1\n.*begin id=r0.*\n.*begin id=r1/,
  );
});

test('a history that was cut off by its own bound is no proof', () => {
  const story = new Story().instance(1);
  expect(story.says(story.by('node', 'n0'), { e: 'full' }).rules).toEqual(['whole']);
});

test('clocks of two machines are compared by what happened before what', () => {
  const offsets = new Offsets();
  const process = (role: Role, clock: string): ProcessBegan => ({ e: 'process', t: 0, role, name: role, pid: 1, clock, wallMs: 0 });
  const [client, app] = [process('client', 'one'), process('app', 'two')];
  const far = 500 * SECOND;
  for (let i = 0; i < 10; i++) {
    const t = i * SECOND;
    offsets.learn({ event: { e: 'send', t, id: `r${i}`, node: 'n0', route: 'a.test', method: 'GET' }, by: client });
    offsets.learn({ event: { e: 'got', t: t + 10 * MS, id: `r${i}`, status: 200 }, by: client });
  }
  for (let i = 0; i < 10; i++)
    offsets.compare({ event: { e: 'begin', t: far + i * SECOND + (i % 5) * MS + 4 * MS, id: `r${i}`, method: 'GET', host: '' }, by: app });
  expect(Math.abs(offsets.of(app) + far)).toBeLessThan(10 * MS);
  expect(offsets.uncertaintyMs).toBeLessThanOrEqual(5);
  expect(offsets.of(client)).toBe(0);
});
