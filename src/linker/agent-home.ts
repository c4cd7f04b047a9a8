/** The link between an agent and its node: one node at a time, any of those that the operator named. */
import { attempt, guard } from '../boundary.ts';
import type { HostPort } from '../config/host-port.ts';
import { AgentLink } from '../link/agent-links.ts';
import type { AgentAnswer, AgentReport, AgentStart } from '../link/agent-words.ts';
import type { Link } from '../link/link.ts';
import type { Log } from '../log.ts';
import { type DialSettings, dial, endpointOf, type Lookup, type NodeAddress } from './dial.ts';
import { HomeSearch } from './home-search.ts';
import { LinkTroubles } from './link-troubles.ts';

/** Answers the start on the link on which it came. */
export type AnswerStart = (how: AgentAnswer['how'], reason?: string) => void;

export interface AgentHomeOptions extends DialSettings {
  readonly proxies: readonly HostPort[];
  readonly lookup?: Lookup;
  readonly random?: () => number;
  readonly log: Log;
}

export interface AgentHomeEvents {
  /** For the next report. */
  picture(): AgentReport;
  start(start: AgentStart, answer: AnswerStart): void;
}

/** Changes within this time are one report: the node passes each on to the directory. */
export const REPORT_GAP_MS = 50;

export class AgentHome {
  readonly #options: AgentHomeOptions;
  readonly #events: AgentHomeEvents;
  readonly #ended = new AbortController();
  readonly #search: HomeSearch;
  readonly #troubles: LinkTroubles;
  #home: { readonly link: AgentLink; readonly node: string; readonly upSince: number } | null = null;
  /** Links to nodes that leave. */
  readonly #leaving = new Set<AgentLink>();
  #report: NodeJS.Timeout | null = null;

  constructor(options: AgentHomeOptions, events: AgentHomeEvents) {
    this.#options = options;
    this.#events = events;
    this.#troubles = new LinkTroubles(options.log);
    this.#search = new HomeSearch({
      proxies: options.proxies,
      lookup: options.lookup,
      dial: (target, until) => dial(target, options, until, (link, node) => this.#up(link, node, target)),
      found: () => this.#home !== null || this.#ended.signal.aborted,
      failed: (address, error) => this.#troubles.failed(address, error),
      signal: this.#ended.signal,
      random: options.random ?? Math.random,
    });
  }

  start(): void {
    this.#search.begin();
  }

  /** Something has changed: the node hears of it soon. */
  changed(): void {
    if (this.#home === null) return;
    const due = guard('timer', () => {
      this.#report = null;
      this.#home?.link.report(this.#events.picture());
    });
    this.#report ??= setTimeout(due, REPORT_GAP_MS);
  }

  /** Asks for one more instance of the route. False: no node is there to ask. */
  askStart(): boolean {
    this.#home?.link.askStart();
    return this.#home !== null;
  }

  close(reason: string): void {
    this.#ended.abort(new Error(reason));
    if (this.#report !== null) clearTimeout(this.#report);
    const links = [...this.#leaving, ...(this.#home === null ? [] : [this.#home.link])];
    this.#home = null;
    for (const { link } of links) attempt('link', () => link.close(reason));
  }

  #up(link: Link, node: string, target: NodeAddress): AgentLink {
    const events = {
      start: (start: AgentStart) => this.#events.start(start, (how, reason = '') => own.answer({ ...start, how, reason })),
      goAway: () => this.#dismissed(own),
      down: (reason: string) => this.#down(own, node, reason),
    };
    const own: AgentLink = new AgentLink(link, events);
    if (this.#home !== null || this.#ended.signal.aborted) {
      link.close('another node is linked already');
      return own;
    }
    this.#home = { link: own, node, upSince: performance.now() };
    this.#options.log.info({ node, address: endpointOf(target) }, 'linked to a node');
    own.report(this.#events.picture());
    // Those that leave get no starts any more.
    for (const before of this.#leaving) attempt('link', () => before.link.close('another node is linked'));
    return own;
  }

  #dismissed(own: AgentLink): void {
    if (this.#home?.link !== own) return;
    this.#leaving.add(own);
    this.#lost();
  }

  #down(own: AgentLink, node: string, reason: string): void {
    this.#leaving.delete(own);
    if (this.#home?.link !== own) return;
    if (!this.#ended.signal.aborted) this.#options.log.warn({ node, reason }, 'a link is lost');
    this.#lost();
  }

  #lost(): void {
    if (this.#home !== null) this.#search.lost(performance.now() - this.#home.upSince);
    this.#home = null;
    this.#search.begin();
  }
}
