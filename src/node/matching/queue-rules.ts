/** The rules by which a route's queue orders clients besides their age, and a client's place by these rules. */
import { hash } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { type Ask, URGENCY_DEFAULT } from '../../cluster/fair-order.ts';
import { COST_MAX, type CostRule, parseCostRule } from '../../config/cost-rules.ts';
import { ipv6Words } from '../../config/ip-words.ts';
import type { QueueSource } from '../../config/queue-sources.ts';
import type { RouteSettings } from '../../config/route-settings.ts';
import { matchesRequest, pathOf } from './sleep-rules.ts';

export interface QueueRules
  extends Pick<RouteSettings, 'fairBy' | 'fairWeights' | 'priority' | 'priorityWaitMs' | 'trustClients' | 'cost'> {
  readonly costBy?: readonly CostRule[];
}

/** The words of a client and of the proxies in front of it. */
export interface ClientWord {
  /** The client's address, as far as trusted proxies say it. */
  readonly address: string;
  /** It comes from a trusted proxy. */
  readonly isTrusted: boolean;
  /** Both '' where the protocol has none. */
  readonly method: string;
  readonly target: string;
  /** The values of the header, as RFC 9110 section 5.3 joins them; '' where there is none. `name`: in lower case. */
  header(name: string): string;
}

/** 96 bits: nobody finds two values that collide. */
const HASH_CHARS = 16;
const URGENCY = /^[0-7]$/;
const COST = /^\d{1,15}$/;
const RFC9218_URGENCY = /^u=([0-7])(?:;|$)/;

/** Null: age is all that counts. */
export function queueRules({
  fairBy,
  fairWeights,
  priority,
  priorityWaitMs,
  trustClients,
  cost,
  costBy,
}: RouteSettings): QueueRules | null {
  if (fairBy === undefined && priority === undefined && cost === undefined && costBy === undefined) return null;
  return {
    priorityWaitMs,
    trustClients,
    ...(fairBy === undefined ? {} : { fairBy }),
    ...(fairWeights === undefined ? {} : { fairWeights }),
    ...(priority === undefined ? {} : { priority }),
    ...(cost === undefined ? {} : { cost }),
    ...(costBy === undefined ? {} : { costBy: costBy.flatMap((rule) => parseCostRule(rule) ?? []) }),
  };
}

/** A client's own word counts only where its route believes it; `word` is null where the protocol has none. */
export function askOf(rules: QueueRules, word: ClientWord): Ask {
  const isBelieved = word.isTrusted || rules.trustClients;
  const cost = costOf(rules, word, isBelieved);
  const value = rules.fairBy === undefined ? '' : saidValue(rules.fairBy, word, isBelieved);
  return {
    urgency: rules.priority === undefined || !isBelieved ? URGENCY_DEFAULT : urgencyOf(rules.priority, word),
    value: rules.fairBy?.from === 'client' ? networkOf(value) : idOf(value),
    unit: cost / (rules.fairWeights?.get(value) ?? 1),
    cost,
  };
}

/** In full, as a user writes it in `fairWeights`. */
function saidValue(source: QueueSource, word: ClientWord, isBelieved: boolean): string {
  if (source.from === 'client') return word.address;
  if (!isBelieved) return '';
  if (source.from === 'header') return word.header(source.name);
  return source.from === 'cookie' ? cookieOf(word.header('cookie'), source.name) : '';
}

/** The first of several cookies with the same name counts, as RFC 6265 section 5.4 sorts them. */
export function cookieOf(header: string, name: string): string {
  return cookiesOf(header, name)[0] ?? '';
}

/** The values of all cookies with this name. */
export function cookiesOf(header: string, name: string): string[] {
  return header.split(/[;,]/).flatMap((pair) => {
    const at = pair.indexOf('=');
    return at !== -1 && pair.slice(0, at).trim() === name ? [pair.slice(at + 1).trim()] : [];
  });
}

/** Values may be long, and secret: neither memory nor Redis keeps them. */
function idOf(value: string): string {
  return value === '' ? '' : hash('sha256', value, 'base64url').slice(0, HASH_CHARS);
}

/** The network of 64 bits of an IPv6 address is one customer's (RFC 6177). */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return /^[0-9.]{1,15}$/.test(address) ? address : idOf(address);
  return ipv6Words(address)
    .slice(0, 2)
    .map((word) => word.toString(16))
    .join(':');
}

/** Its own word counts where it is believed and is a number, and else the route's rule. */
function costOf({ cost, costBy }: QueueRules, word: ClientWord, isBelieved: boolean): number {
  const said = isBelieved && cost?.from === 'header' ? word.header(cost.name) : '';
  if (COST.test(said) && Number(said) > 0) return Math.min(COST_MAX, Number(said));
  // A connection that is passed on unread has neither method nor path, and `* *` would match it.
  if (costBy === undefined || word.method === '') return 1;
  const path = pathOf(word.target);
  return costBy.find((rule) => matchesRequest(rule, word.method, path))?.cost ?? 1;
}

/** An unclear value means the default: two headers, another text, an urgency that does not exist. */
function urgencyOf(source: QueueSource, word: ClientWord): number {
  if (source.from === 'header') {
    const said = word.header(source.name);
    return URGENCY.test(said) ? Number(said) : URGENCY_DEFAULT;
  }
  // The last one of a dictionary's members with the same name counts (RFC 8941 section 4.2.2).
  const last = word
    .header('priority')
    .split(',')
    .findLast((member) => member.trim().startsWith('u='));
  return Number(RFC9218_URGENCY.exec(last?.trim() ?? '')?.[1] ?? URGENCY_DEFAULT);
}
