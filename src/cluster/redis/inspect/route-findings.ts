/** Finds contradictions at one route. */
import { DEAD_AFTER_MS, PROMISE_MS } from '../../limits.ts';
import { nodesKey, pausesKey } from '../keys.ts';
import type { Dump, Stored } from './dump.ts';
import type { Finding } from './finding.ts';

type Entries = Stored['entries'];

/** Beats and transitions overlap: a small delay is no contradiction. */
const LATE_MS = 1_000;
const AT_NEXT_BEAT = "The node's next beat corrects it.";

interface Instance {
  readonly node: string;
  readonly state: string;
  readonly concurrency: number;
  readonly active: number;
}

export function routeFindings(route: string, { keys, now }: Dump): Finding[] {
  const found: Finding[] = [];
  const part = (name: string): Entries => keys.get(`pp:{${route}}:${name}`)?.entries ?? new Map();
  const find = (severity: Finding['severity'], name: string, what: string, advice: string): void => {
    found.push({ severity, key: `pp:{${route}}:${name}`, what, advice });
  };
  // Where it rests it sends no beats, see keys.ts.
  const rests = (node: string, at: number): boolean => at % 1 > 0 && keys.get(nodesKey)?.entries.has(node) === true;
  const lives = ([node, at]: readonly [string, string]): boolean => now - Number(at) <= DEAD_AFTER_MS + LATE_MS || rests(node, Number(at));
  const living = new Set([...part('nodes')].filter(lives).map(([node]) => node));

  for (const name of ['holders', 'free', 'serving'] as const) {
    for (const [node, count] of part(name)) {
      if (!living.has(node))
        find(
          'odd',
          name,
          `${count} of node ${node}, which has not been heard here lately`,
          'The next transition of this route removes it.',
        );
      if (!/^\d+$/.test(count)) find('broken', name, `${count} of node ${node} is not a number`, AT_NEXT_BEAT);
    }
  }
  for (const node of living) {
    if (!part('peers').has(node))
      find('broken', 'peers', `the address of node ${node} is missing: no slot can be moved to it`, AT_NEXT_BEAT);
  }
  heldFindings(part, now, find);
  const slots = instanceFindings(part('instances'), living, find);
  const free = [...part('free').values()].reduce((sum, count) => sum + Number(count), 0);
  if (free > slots)
    find(
      'odd',
      'free',
      `${many(free, 'slot')} free, and ready instances have ${slots} in all`,
      'An instance has just left, or its node is late.',
    );
  const open = part('held').size - part('promised').size;
  const isPaused = keys.get(pausesKey)?.entries.has(route) === true;
  if (open > 0 && free > 0 && !isPaused) {
    const advice = 'Slots are not moved: can every node reach the backend port of every other (--advertise)?';
    find('broken', 'held', `${many(open, 'client')} held although ${many(free, 'slot')} free`, advice);
  }
  for (const [start, until] of part('starting')) {
    if (now - Number(until) > LATE_MS)
      find('odd', 'starting', `start ${start} should have expired`, 'The next transition of this route removes it.');
  }
  return found;
}

type Find = (severity: Finding['severity'], name: string, what: string, advice: string) => void;

function heldFindings(part: (name: string) => Entries, now: number, find: Find): void {
  const held = part('held');
  const counts = new Map<string, number>();
  for (const [client, arrival] of held) {
    const node = client.slice(0, client.indexOf(':'));
    counts.set(node, (counts.get(node) ?? 0) + 1);
    if (Number(arrival) - now > LATE_MS)
      find('odd', 'held', `the arrival of ${client} is in the future`, "Redis's clock was set back: such clients wait behind others.");
  }
  for (const node of new Set([...counts.keys(), ...part('holders').keys()])) {
    const [real, said] = [counts.get(node) ?? 0, Number(part('holders').get(node) ?? 0)];
    if (real !== said)
      find(
        'broken',
        'holders',
        `node ${node} holds ${many(real, 'client')} here, and ${said} are counted`,
        'The node writes all of them again when it notices, at the latest after its restart.',
      );
  }
  for (const [client, until] of part('promised')) {
    if (!held.has(client)) find('broken', 'promised', `${client} is promised a slot and not held`, 'The promise lapses.');
    else if (Number(until) - now > PROMISE_MS + LATE_MS)
      find('odd', 'promised', `the promise to ${client} lasts too long`, "Redis's clock was set back; the next transition removes it.");
  }
}

/** Returns the slots of ready instances. */
function instanceFindings(instances: Entries, living: ReadonlySet<string>, find: Find): number {
  let slots = 0;
  for (const [id, json] of instances) {
    const one = readInstance(json);
    if (one === null) {
      find(
        'broken',
        'instances',
        `instance ${id} has an invalid description: ${json.slice(0, 60)}`,
        `redis-cli hdel KEY ${id}: its node writes it again.`,
      );
      continue;
    }
    if (!living.has(one.node))
      find(
        'odd',
        'instances',
        `instance ${id} is at home at node ${one.node}, which has not been heard here lately`,
        'The next transition of this route removes it.',
      );
    if (one.state === 'ready') slots += one.concurrency;
  }
  return slots;
}

function readInstance(json: string): Instance | null {
  try {
    const { node, state, concurrency, active } = JSON.parse(json) as Record<string, unknown>;
    if (typeof node !== 'string' || typeof state !== 'string') return null;
    return typeof concurrency === 'number' && typeof active === 'number' ? { node, state, concurrency, active } : null;
  } catch {
    return null;
  }
}

function many(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`;
}
