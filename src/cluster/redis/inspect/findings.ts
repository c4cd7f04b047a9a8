/** Finds contradictions in Redis. Pure functions of a dump. */
import { ROUTE_NAME_EXPECTED } from '../../../config/route-name.ts';
import { parseRouteSettings, type RouteRecord } from '../../../config/route-settings.ts';
import { ConfigError } from '../../../errors.ts';
import { DEAD_AFTER_MS } from '../../limits.ts';
import { nodeIdOf, objectOf, routeNameOf, textOf } from '../../values.ts';
import { asideKey, lossKey, nodeKey, nodeRoutesKey, nodesKey, routeKeys, routesKey } from '../keys.ts';
import type { Dump } from './dump.ts';
import type { Finding } from './finding.ts';
import { type Meaning, meaningOf } from './meaning.ts';
import { queueFindings } from './queue-findings.ts';
import { routeFindings } from './route-findings.ts';

/** A smaller difference of clocks proves nothing. */
const CLOCK_TOLERANCE_MS = 1_000;
const ASIDE_PREFIX = 'pp:aside:';

const RENEWED_WITH_NODES: ReadonlySet<string> = new Set(['peers', 'held', 'holders', 'promised', 'free', 'serving', 'instances']);

export function findInconsistencies(dump: Dump): readonly Finding[] {
  const routes = new Set([...dump.keys.keys()].map(meaningOf).flatMap((meaning) => (meaning?.of === 'route' ? [meaning.name] : [])));
  return [
    ...serverFindings(dump),
    ...keyFindings(dump),
    ...nodeFindings(dump),
    ...settingsFindings(dump),
    ...asideFindings(dump),
    ...[...routes].flatMap((route) => routeFindings(route, dump)),
    ...queueFindings(dump),
  ].sort((a, b) => Number(a.severity === 'odd') - Number(b.severity === 'odd'));
}

function serverFindings({ info }: Dump): Finding[] {
  const found: Finding[] = [];
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  if (policy !== 'noeviction' && Number(info.get('maxmemory') ?? 0) > 0) {
    const advice = 'Set maxmemory-policy noeviction: a Redis that refuses is noticed, one that forgets is not.';
    found.push({ severity: 'broken', key: 'maxmemory-policy', what: `Redis may drop keys when its memory is full: ${policy}`, advice });
  }
  if (info.get('role') === 'slave') {
    found.push({
      severity: 'broken',
      key: 'role',
      what: 'this Redis is a replica: it takes no writes',
      advice: 'Name its master in --redis.',
    });
  }
  return found;
}

function keyFindings({ keys }: Dump): Finding[] {
  const found: Finding[] = [];
  for (const [key, { type, expiresInMs }] of keys) {
    const meaning = meaningOf(key);
    if (meaning === null) {
      found.push({
        severity: 'odd',
        key,
        what: 'this version does not know this key',
        advice: 'It belongs to another version, or to another program, which should use another prefix.',
      });
    } else if (meaning.type !== '' && meaning.type !== type) {
      const advice = `Another program wrote it. Delete it, and it is written again: redis-cli del '${key}'`;
      found.push({ severity: 'broken', key, what: `it is a ${type} and should be a ${meaning.type}`, advice });
    } else if (meaning.expires && expiresInMs === null && !isRenewedSoon(meaning, keys)) {
      found.push({
        severity: 'odd',
        key,
        what: 'it never expires, although it should',
        advice: 'Living nodes correct it with their next beat; if none does, delete it.',
      });
    }
  }
  return found;
}

/**
 * Keys that are made at a route between two renewals (keep() in scripts/_route.lua) does not expire before the second: no finding while the
 * route's nodes do, which are renewed together with it by each node that lives.
 */
function isRenewedSoon({ of, name, part }: Meaning, keys: Dump['keys']): boolean {
  if (of !== 'route' || !RENEWED_WITH_NODES.has(part)) return false;
  const [nodes = ''] = routeKeys(name);
  return typeof keys.get(nodes)?.expiresInMs === 'number';
}

function nodeFindings({ keys, now }: Dump): Finding[] {
  const found: Finding[] = [];
  const beats = keys.get(nodesKey)?.entries ?? new Map<string, string>();
  const addresses = new Map<string, string>();
  for (const [node, beat] of beats) {
    if (nodeIdOf(node) === null) {
      const advice = 'It is not used, and is removed by itself.';
      found.push({ severity: 'odd', key: nodesKey, what: `${JSON.stringify(node.slice(0, 80))} is not a node id`, advice });
      continue;
    }
    const ageMs = now - Number(beat);
    const said = keys.get(nodeKey(node));
    const key = nodeKey(node);
    if (ageMs > DEAD_AFTER_MS) {
      const advice = 'A living node removes it within a second; if it stays, there is none.';
      found.push({
        severity: 'odd',
        key: nodesKey,
        what: `node ${node} is listed and has not said that it lives for ${Math.round(ageMs / 1000)} s`,
        advice,
      });
      continue;
    }
    if (ageMs < -CLOCK_TOLERANCE_MS) {
      found.push({
        severity: 'odd',
        key: nodesKey,
        what: `the last beat of node ${node} is in the future`,
        advice: "Redis's clock was set back; the node's next beat corrects it.",
      });
    }
    if (said === undefined) {
      found.push({
        severity: 'odd',
        key,
        what: `node ${node} is listed, and its own key is missing`,
        advice: 'Its next beat writes it again.',
      });
      continue;
    }
    const address = said.entries.get('address') ?? '';
    const other = addresses.get(address);
    if (other !== undefined) {
      const advice = 'Give each node its own --advertise: linkers and slots that are meant for one of them reach the other.';
      found.push({ severity: 'broken', key, what: `nodes ${other} and ${node} both say that they are reached at ${address}`, advice });
    }
    addresses.set(address, node);
  }
  return [...found, ...loopbackFindings(addresses), ...leftBehind(keys, beats)];
}

/** One machine may have several nodes; but if others are elsewhere, they can't reach this one. */
function loopbackFindings(addresses: ReadonlyMap<string, string>): Finding[] {
  const local = (address: string): boolean => /^(127\.|localhost|\[::1\])/.test(address);
  if (![...addresses.keys()].some((address) => !local(address))) return [];
  return [...addresses]
    .filter(([address]) => local(address))
    .map(([address, node]) => ({
      severity: 'broken',
      key: nodeKey(node),
      what: `node ${node} says that it is reached at ${address}, and other nodes are on other machines`,
      advice: 'Start it with --advertise and an address that the others reach.',
    }));
}

function leftBehind(keys: Dump['keys'], beats: ReadonlyMap<string, string>): Finding[] {
  const found: Finding[] = [];
  for (const [key] of keys) {
    const meaning = meaningOf(key);
    if (meaning?.of !== 'node' || beats.has(meaning.name)) continue;
    found.push({
      severity: 'odd',
      key,
      what: `node ${meaning.name} is not listed in ${nodesKey}`,
      advice: 'It left, or was cut off: this key expires.',
    });
  }
  for (const [node] of beats) {
    const known = keys.get(nodeRoutesKey(node))?.entries;
    for (const [key, { entries }] of keys) {
      const meaning = meaningOf(key);
      if (meaning?.of !== 'route' || meaning.part !== 'nodes' || !entries.has(node) || known?.has(meaning.name)) continue;
      const what = `node ${node} has entries at ${meaning.name}, and its list of routes does not have that route`;
      found.push({
        severity: 'broken',
        key: nodeRoutesKey(node),
        what,
        advice: 'If the node died, no other node would clean up there. Restart the node.',
      });
    }
  }
  return found;
}

/** Values that a command could not use, and whether they are still there. */
function asideFindings({ keys }: Dump): Finding[] {
  const found: Finding[] = [];
  for (const [where, json] of keys.get(asideKey)?.entries ?? []) {
    const advice = 'Another program writes into this Redis: give pullproxy its own Redis, or its own user (deploy/redis.acl).';
    found.push({ severity: 'odd', key: textOf(where, 200), what: `it could not be used: ${textOf(objectOf(json)?.what, 200)}`, advice });
  }
  for (const [key, { type, expiresInMs }] of keys) {
    if (!key.startsWith(ASIDE_PREFIX)) continue;
    const hours = expiresInMs === null ? '' : ` for ${Math.ceil(expiresInMs / 3_600_000)} hours more`;
    const advice = `Look at it, and delete it: redis-cli del '${key}'`;
    found.push({ severity: 'odd', key, what: `a ${type} that was moved aside is kept here${hours}`, advice });
  }
  return found;
}

function settingsFindings({ keys }: Dump): Finding[] {
  const found: Finding[] = [];
  for (const [route, json] of keys.get(routesKey)?.entries ?? []) {
    if (routeNameOf(route) === null) {
      const advice = `It is not used. A name is ${ROUTE_NAME_EXPECTED}.`;
      found.push({ severity: 'broken', key: routesKey, what: `${JSON.stringify(route.slice(0, 80))} is not a route's name`, advice });
      continue;
    }
    const problem = badSettings(json);
    if (problem === null) continue;
    const advice = `They are not used. Set them again: pullproxy route set ${route} key=value...`;
    found.push({ severity: 'broken', key: routesKey, what: `the settings of ${route} are invalid: ${problem}`, advice });
  }
  if (keys.has(lossKey)) {
    found.push({
      severity: 'odd',
      key: lossKey,
      what: 'Redis has lost its data a moment ago',
      advice: 'Within two seconds the nodes have written everything again.',
    });
  }
  return found;
}

function badSettings(json: string): string | null {
  try {
    parseRouteSettings(JSON.parse(json) as RouteRecord);
    return null;
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.join('; ');
    return `not JSON: ${json.slice(0, 80)}`;
  }
}
