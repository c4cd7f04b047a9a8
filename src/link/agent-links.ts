/** The two ends of the link between an agent and its node. Frames of slots and streams end it: it has none. */
import { LinkProtocolError } from '../errors.ts';
import { ChurnMap } from '../memory/churn-map.ts';
import type { Ownership } from '../memory/reused-reads.ts';
import { type AgentAnswer, type AgentReport, type AgentStart, parseAgentAnswer, parseAgentReport, parseAgentStart } from './agent-words.ts';
import { clusterBudget, linkBudget } from './frame-budget.ts';
import { Flag, Frame } from './frames.ts';
import type { Link, LinkRole } from './link.ts';
import type { Stream } from './stream.ts';

/** The agent's calls to its node. */
export interface AgentAtNodeEvents {
  report(report: AgentReport): void;
  answered(answer: AgentAnswer): void;
  /** One more, newer instance of the route is wanted, wherever it is started. */
  startAnother(): void;
  down(reason: string): void;
}

/** For each start: its answer, the report that follows, its failure, and the report of that. */
const WORDS_PER_START = 4;

/** The node's end. */
export class AgentAtNode implements LinkRole {
  readonly link: Link;
  readonly streams = new ChurnMap<number, Stream>();
  readonly budget = linkBudget(0);
  readonly #clusterBudget = clusterBudget();
  readonly #events: AgentAtNodeEvents;

  constructor(link: Link, events: AgentAtNodeEvents) {
    this.link = link;
    this.#events = events;
    link.begin(this);
  }

  /** Hands a start to the agent. */
  start(start: AgentStart): void {
    this.budget.earn(WORDS_PER_START);
    this.#clusterBudget.earn(WORDS_PER_START);
    this.link.sendJson(Frame.START, start);
  }

  /** The node is leaving: the agent is to link with another one. */
  goAway(): void {
    this.link.writer.frame(Frame.GOAWAY, Flag.NONE, 0, null);
  }

  /** The agent may not be linked as it is any longer, and may come again. */
  dismiss(): void {
    this.link.writer.frame(Frame.GOAWAY, Flag.ANEW, 0, null);
  }

  receive(type: number, _flags: number, _streamId: number, payload: Buffer): Ownership {
    this.budget.spend();
    if (type !== Frame.STATE && type !== Frame.START) throw new LinkProtocolError(`frame type ${type} from an agent`);
    this.#clusterBudget.spend();
    if (type === Frame.STATE) this.#events.report(parseAgentReport(payload));
    else if (payload.length === 0) this.#events.startAnother();
    else this.#events.answered(parseAgentAnswer(payload));
    return 'borrowed';
  }

  down(reason: string): void {
    this.#events.down(reason);
  }
}

/** The node's calls to its agent. */
export interface AgentLinkEvents {
  start(start: AgentStart): void;
  /** Another node is to be found. */
  goAway(): void;
  down(reason: string): void;
}

/** The agent's end. */
export class AgentLink implements LinkRole {
  readonly link: Link;
  readonly streams = new ChurnMap<number, Stream>();
  readonly budget = linkBudget(0);
  readonly #events: AgentLinkEvents;

  constructor(link: Link, events: AgentLinkEvents) {
    this.link = link;
    this.#events = events;
    link.begin(this);
  }

  report(report: AgentReport): void {
    if (this.link.isUp) this.link.sendJson(Frame.STATE, report);
  }

  answer(answer: AgentAnswer): void {
    if (this.link.isUp) this.link.sendJson(Frame.START, answer);
  }

  askStart(): void {
    this.link.writer.frame(Frame.START, 0, 0, null);
  }

  receive(type: number, _flags: number, _streamId: number, payload: Buffer): Ownership {
    this.budget.spend();
    if (type === Frame.START) this.#events.start(parseAgentStart(payload));
    else if (type === Frame.GOAWAY) this.#events.goAway();
    else throw new LinkProtocolError(`frame type ${type} from a node to an agent`);
    return 'borrowed';
  }

  down(reason: string): void {
    this.#events.down(reason);
  }
}
