/** Finds what prevents starts in the queue of startup jobs. */
import type { Dump } from './dump.ts';
import type { Finding } from './finding.ts';

const QUEUE = '{pp-bull}:startup';

export function queueFindings({ keys }: Dump): Finding[] {
  const found: Finding[] = [];
  const entries = (part: string): Iterable<string> => keys.get(`${QUEUE}:${part}`)?.entries.keys() ?? [];
  if (keys.get(`${QUEUE}:meta`)?.entries.has('paused')) {
    const advice = `It was paused by hand. Resume it: redis-cli hdel '${QUEUE}:meta' paused`;
    found.push({ severity: 'broken', key: `${QUEUE}:meta`, what: 'the queue is paused: nothing is started', advice });
  }
  for (const [key, { entries: value }] of keys) {
    if (!key.startsWith(`${QUEUE}:de:`)) continue;
    const [job = ''] = value.keys();
    if (keys.has(`${QUEUE}:${job}`)) continue;
    const route = key.slice(`${QUEUE}:de:`.length);
    const what = `orders for ${route} are merged with job ${job}, which does not exist: nothing is started for it`;
    found.push({ severity: 'broken', key, what, advice: `redis-cli del '${key}'` });
  }
  for (const job of entries('active')) {
    if (keys.has(`${QUEUE}:${job}:lock`)) continue;
    const advice = 'Its scaler was killed, or is cut off. Another scaler takes the job over within seconds; if none does, run one.';
    found.push({ severity: 'odd', key: `${QUEUE}:active`, what: `job ${job} has begun, and no scaler runs it`, advice });
  }
  for (const part of ['wait', 'active', 'delayed', 'failed', 'completed']) {
    for (const job of entries(part)) {
      if (keys.has(`${QUEUE}:${job}`) || job.startsWith('0:')) continue;
      found.push({
        severity: 'odd',
        key: `${QUEUE}:${part}`,
        what: `job ${job} is listed and does not exist`,
        advice: 'It was deleted by hand, or Redis dropped it.',
      });
    }
  }
  return found;
}
