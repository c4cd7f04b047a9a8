/** Troubles by the event log: events of late whose end was not told since. */
import { rowOfCode } from '../events/catalogue.ts';
import type { ClusterEvent } from '../events/event.ts';
import type { Trouble } from './trouble.ts';
import { about, counted } from './words.ts';

/** For a code that this version does not know. */
const LASTS_MS = 3 * 60_000;
/** Other parts of the picture say these, and know more. */
const SAID_ELSEWHERE: ReadonlySet<string> = new Set([
  'internal_error',
  'redis_garbage',
  'redis_unreadable',
  'bad_settings_ignored',
  'not_held',
  'overload',
]);

/** Every node says these of the one Redis: once is enough. */
const OF_REDIS: ReadonlySet<string> = new Set(['redis_not_persistent', 'redis_evicts', 'settings_lost']);

/** `now`: by the directory's clock. */
export function eventTroubles(events: readonly ClusterEvent[], now: number): Trouble[] {
  const open = new Map<string, ClusterEvent>();
  for (const event of events) {
    const row = rowOfCode(event.code);
    for (const ended of row?.ends ?? []) {
      for (const [key, one] of open) if (one.code === ended && one.source === event.source) open.delete(key);
    }
    const lastsMs = row?.lastsMs ?? (event.level === 'note' ? 0 : LASTS_MS);
    if (SAID_ELSEWHERE.has(event.code) || now - event.at > lastsMs || lastsMs === 0) continue;
    const key = OF_REDIS.has(event.code) ? event.code : [event.code, event.source, event.node, event.route].join(' ');
    // The last one comes last.
    open.delete(key);
    open.set(key, event);
  }
  return [...open.values()].map((event) => troubleOf(event, now));
}

function troubleOf({ code, level, source, node, route, text, at, count }: ClusterEvent, now: number): Trouble {
  const often = count > 1 ? `, ${counted(count, 'time')}` : '';
  return {
    severity: level,
    code,
    route,
    node: node ?? (source.includes(' ') ? null : source),
    text: `${route === null ? source : `${route}: ${source}`}: ${text}`,
    advice: `${rowOfCode(code)?.advice ?? 'Its log says more.'} Said ${about(now - at)} ago${often}.`,
  };
}
