/**
 * Who waits is served in order. At one node exactly: the one that came first, or of several classes the most urgent first. Over all nodes within a
 * bound: a client is not passed again and again by ones that came much later. Where tenants have shares, none gets far more than another that waits.
 */
import type { Sent } from '../../events.ts';
import type { Disturbances } from '../disturbances.ts';
import { type Line, MS, type Report, type Rule, SECOND } from '../line.ts';

/** Requests of one turn of the event loop are noted one after the other. */
const SAME_MOMENT = 15 * MS;
/** A client of another node is older only if it is older by this, and so often it may be passed meanwhile. */
const OLDER = 1_500 * MS;
const PASSED_MAX = 12;
/** How many more requests of another tenant may be served while one of this tenant waits: shares are exact in the long run, and moves take their time. */
export const SHARE_LEAD_MAX = 24;
const CLASS_DEFAULT = 3;
/** Who has waited for 30 s counts as most urgent: that is the route's `priorityWait`. */
const AGED = 29 * SECOND;
const ALL = '*';

interface Waiting {
  readonly line: Line;
  readonly id: string;
  readonly node: string;
  readonly since: number;
  readonly sent: number;
  readonly tenant: string | null;
  readonly urgency: number;
  passed: number;
  /** Tenant → how many of its requests of this class were served since this one waits. */
  readonly served: Map<string, number>;
}

export class Order implements Rule {
  /** The most that one was passed by, and the largest lead of a tenant. */
  mostPassed = 0;
  mostLead = 0;
  readonly #sent = new Map<string, Sent>();
  /** Route → those who wait, the first held first. */
  readonly #waiting = new Map<string, Map<string, Waiting>>();
  /** Tried before: their place in the order is another one. */
  readonly #tried = new Set<string>();
  readonly #disturbances: Disturbances;
  readonly #report: Report;

  constructor(disturbances: Disturbances, report: Report) {
    this.#disturbances = disturbances;
    this.#report = report;
  }

  take(line: Line): void {
    const { event, by } = line;
    switch (event.e) {
      case 'process':
        if (event.role === 'node') this.#nodeGone(event.name);
        return;
      case 'fault':
        if (event.does === 'dies' && event.of?.startsWith('node:') === true) this.#nodeGone(event.of.slice('node:'.length));
        return;
      case 'send':
        this.#sent.set(event.id, event);
        return;
      case 'got':
        this.#sent.delete(event.id);
        this.#tried.delete(event.id);
        return;
      case 'over':
        for (const waiting of this.#waiting.values()) waiting.delete(event.id);
        return;
      case 'held':
        this.#held(line, event.id, event.route, by.name);
        return;
      case 'opened':
        this.#opened(line, event.id, event.route, by.name);
    }
  }

  #held(line: Line, id: string, route: string, node: string): void {
    if (this.#tried.has(id)) return;
    const sent = this.#sent.get(id);
    const { tenant = null, urgency = CLASS_DEFAULT } = sent ?? {};
    const all = this.#waiting.get(route) ?? new Map<string, Waiting>();
    this.#waiting.set(route, all);
    all.set(id, { line, id, node, since: line.event.t, sent: sentAt(route, sent), tenant, urgency, passed: 0, served: new Map() });
  }

  #opened(line: Line, id: string, route: string, node: string): void {
    if (this.#tried.has(id)) return;
    this.#tried.add(id);
    const all = this.#waiting.get(route);
    if (all === undefined) return;
    const own = all.get(id);
    all.delete(id);
    // What a client asked for is known of one that has just left, too, if it was held.
    const asked = own ?? this.#sent.get(id);
    if (asked === undefined) return;
    const { tenant = null, urgency = CLASS_DEFAULT } = asked;
    const since = own?.since ?? line.event.t;
    const sent = sentAt(route, this.#sent.get(id));
    const isAged = line.event.t - since > AGED;
    for (const other of all.values()) {
      if (other.tenant === null && other.node === node && since > other.since + SAME_MOMENT && sent >= other.sent)
        this.#say(`${id} was served before ${other.id}, which was held at the same node before it`, [other.line, line]);
      else if (
        other.tenant !== null &&
        !isAged &&
        other.node === node &&
        urgency > other.urgency &&
        line.event.t > other.since + SAME_MOMENT
      )
        this.#say(`${id} of class ${urgency} was served before ${other.id} of class ${other.urgency} at the same node`, [other.line, line]);
      else if (other.tenant === null && other.node !== node && since > other.since + OLDER) this.#passes(other, line);
      if (other.tenant !== null && tenant !== null && !isAged && other.urgency === urgency) this.#shares(other, tenant, line);
    }
  }

  #passes(other: Waiting, line: Line): void {
    if (this.#isExcused(other.since, line.event.t)) return;
    other.passed++;
    this.mostPassed = Math.max(this.mostPassed, other.passed);
    if (other.passed === PASSED_MAX + 1)
      this.#say(`${other.id} was passed ${other.passed} times by clients at other nodes that came much later`, [other.line, line]);
  }

  #shares(other: Waiting, tenant: string, line: Line): void {
    const { served } = other;
    served.set(tenant, (served.get(tenant) ?? 0) + 1);
    if (tenant === other.tenant || this.#isExcused(other.since, line.event.t)) return;
    const lead = (served.get(tenant) ?? 0) - (served.get(other.tenant ?? ALL) ?? 0);
    this.mostLead = Math.max(this.mostLead, lead);
    if (lead === SHARE_LEAD_MAX + 1)
      this.#say(`while ${other.id} of tenant ${other.tenant} waits, tenant ${tenant} was served ${lead} times more`, [other.line, line]);
  }

  /** Something was broken meanwhile, or the machine stood still for much of the time. */
  #isExcused(from: number, until: number): boolean {
    return this.#disturbances.disturbed(from, until) || this.#disturbances.stalled(from, until) > SECOND / 2;
  }

  #nodeGone(node: string): void {
    for (const all of this.#waiting.values()) for (const one of all.values()) if (one.node === node) all.delete(one.id);
  }

  #say(text: string, lines: readonly Line[]): void {
    this.#report({ rule: 'order', text, lines });
  }
}

/** Whether a key may wake is asked first: who came before another one may be held after it, and keeps its place. Elsewhere that does not matter. */
function sentAt(route: string, sent: Sent | undefined): number {
  return route.includes('~') ? (sent?.t ?? 0) : 0;
}
