/** The event log in Redis: a stream of bounded length. */
import { type ClusterEvent, EVENT_TEXT_CHARS_MAX, EVENTS_MAX, type EventLog, isEventId, type NewEvent } from '../../events/event.ts';
import { countOf, nodeIdOf, objectOf, servedNameOf, textOf, timeOf } from '../values.ts';
import type { RedisConnection } from './connection.ts';
import { eventsKey } from './keys.ts';
import type { Mending } from './mending.ts';
import { list } from './replies.ts';
import { readTime } from './server-facts.ts';

const CODE = /^[a-z_]{1,40}$/;
const SOURCE_CHARS_MAX = 100;
/** The most time between an event and its report. */
const LATE_MS_MAX = 24 * 3_600_000;

export class RedisEventLog implements EventLog {
  readonly #redis: RedisConnection;
  readonly #mending: Mending;

  constructor(redis: RedisConnection, mending: Mending) {
    this.#redis = redis;
    this.#mending = mending;
  }

  async append(events: readonly NewEvent[]): Promise<void> {
    const add = (event: NewEvent): Promise<unknown> =>
      this.#redis.call('xadd', eventsKey, 'MAXLEN', '~', EVENTS_MAX, '*', 'event', JSON.stringify(event));
    await this.#mending.ofKey(eventsKey, 'stream', () => Promise.all(events.map(add)));
  }

  async since(id: string | null, max: number): Promise<{ events: ClusterEvent[]; now: number }> {
    const from = id === null ? '-' : `(${id}`;
    const [stored, time] = await Promise.all([
      this.#mending.ofKey(eventsKey, 'stream', () => this.#redis.call('xrange', eventsKey, from, '+', 'COUNT', max)),
      this.#redis.call('time'),
    ]);
    return { events: list(stored).flatMap((entry) => readEvent(list(entry))), now: readTime(time) };
  }
}

function readEvent([id, fields]: readonly unknown[]): ClusterEvent[] {
  const said = objectOf(list(fields)[1]);
  if (said === null || !isEventId(id) || typeof said.code !== 'string' || !CODE.test(said.code)) return [];
  const level = said.level === 'error' || said.level === 'warning' ? said.level : 'note';
  const told = timeOf(id.split('-', 1)[0]) ?? 0;
  return [
    {
      id,
      at: told - Math.min(countOf(said.lateMs) ?? 0, LATE_MS_MAX),
      code: said.code,
      level,
      source: textOf(said.source, SOURCE_CHARS_MAX),
      node: nodeIdOf(said.node),
      route: servedNameOf(said.route),
      text: textOf(said.text, EVENT_TEXT_CHARS_MAX),
      count: countOf(said.count) ?? 1,
    },
  ];
}
