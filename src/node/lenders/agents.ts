/** The agents that are linked here: the directory hears how much room they have, and they hear which starts are theirs. */
import { guard, unawaited } from '../../boundary.ts';
import {
  type AgentFacts,
  type AgentRoom,
  type AgentSnapshot,
  ANNOUNCE_MS,
  type NodeAgents,
  type WithAgents,
  withAgents,
} from '../../cluster/agents.ts';
import { AGENT_FAILURE_CHARS_MAX, AGENTS_PER_ROUTE_MAX } from '../../config/agent-limits.ts';
import { hasKey, routeOf } from '../../config/route-key.ts';
import type { AgentAtNode, AgentAtNodeEvents } from '../../link/agent-links.ts';
import type { AgentAnswer, AgentReport } from '../../link/agent-words.ts';
import type { Log } from '../../log.ts';

export interface AgentsContext {
  readonly directory: NodeAgents;
  /** The id of this node. */
  readonly node: string;
  /** One more instance of the route is wanted. */
  startAnother(route: string): void;
  /** Agents of the route have room again: a start may have waited for that. */
  startNeeded(route: string): void;
  /** An agent of the route has answered a start. */
  answered(route: string, how: AgentAnswer['how']): void;
  isLeaving(): boolean;
  readonly log: Log;
}

interface LinkedAgent {
  readonly route: string;
  readonly id: string;
  readonly link: AgentAtNode;
  room: number;
  /** What it has said last, and performance.now() then; null: nothing yet. */
  said: { readonly report: AgentReport; readonly at: number } | null;
  /** Starts that it was given, of which the end is not known here. */
  readonly starts: Map<string, GivenStart>;
}

interface GivenStart {
  /** Or a key of it. */
  readonly route: string;
  /** performance.now() in ms. */
  readonly at: number;
  isTaken: boolean;
}

/** Several changes at once are one message. */
const SOON_MS = 10;
/** A start that was given longer ago has become an instance, or ends by its timeout. */
const REMEMBERED_MS = 60_000;
/** While the directory does not answer, not more messages than this wait for it. */
const ANNOUNCING_MAX = 2;

export class Agents {
  readonly #context: AgentsContext;
  /** By route, then by id. */
  readonly #routes = new Map<string, Map<string, LinkedAgent>>();
  readonly #changed = new Set<string>();
  /** Routes of which an agent had no room, and has some now. */
  readonly #widened = new Set<string>();
  #beat: NodeJS.Timeout | null = null;
  #soon: NodeJS.Timeout | null = null;
  #announcing = 0;

  constructor(context: AgentsContext) {
    this.#context = context;
  }

  /** Why an agent of the route is refused; null: it is not. */
  refusal(route: string): string | null {
    if (hasKey(route)) return 'an agent is for a route with all of its keys: run it without --key';
    const isFull = (this.#routes.get(route)?.size ?? 0) >= AGENTS_PER_ROUTE_MAX;
    return isFull ? `this node has ${AGENTS_PER_ROUTE_MAX} agents of the route already` : null;
  }

  linked(route: string, id: string, link: AgentAtNode): void {
    const agents = this.#routes.get(route) ?? new Map<string, LinkedAgent>();
    this.#routes.set(route, agents);
    const before = agents.get(id);
    agents.set(id, { route, id, link, room: 0, said: null, starts: before?.starts ?? new Map() });
    before?.link.link.close('the agent has linked again');
    const beat = guard('timer', () => this.#announceAll());
    this.#beat ??= setInterval(beat, ANNOUNCE_MS);
    if (this.#context.isLeaving()) link.goAway();
  }

  heard(route: string, id: string): Omit<AgentAtNodeEvents, 'down'> {
    return {
      report: (report) => {
        const agent = this.#routes.get(route)?.get(id);
        if (agent === undefined) return;
        const { room } = report;
        agent.said = { report, at: performance.now() };
        // The next beat says the rest.
        if (agent.room === room) return;
        if (agent.room === 0) this.#widened.add(route);
        agent.room = room;
        this.#announceSoon(route);
      },
      answered: (answer) => this.#answered(route, id, answer),
      startAnother: () => this.#context.startAnother(route),
    };
  }

  /** A scaler gives it a start. */
  given(name: string, startId: string, id: string): void {
    const agent = this.#routes.get(routeOf(name))?.get(id);
    if (agent === undefined || !agent.link.link.isUp) {
      this.#tell(this.#context.directory.answer(name, startId, id, 'refused'));
      return;
    }
    const now = performance.now();
    for (const [given, { at }] of agent.starts) if (at < now - REMEMBERED_MS) agent.starts.delete(given);
    agent.starts.set(startId, { route: name, at: now, isTaken: false });
    agent.link.start({ startId, route: name });
  }

  gone(route: string, id: string, link: AgentAtNode): void {
    const agents = this.#routes.get(route);
    const agent = agents?.get(id);
    if (agents === undefined || agent?.link !== link) return;
    agents.delete(id);
    if (agents.size === 0) this.#routes.delete(route);
    const { directory } = this.#context;
    // Those whose instance has linked already are none any more in the directory.
    for (const [startId, { route: name }] of agent.starts) {
      this.#tell(directory.answer(name, startId, id, 'refused'));
      this.#tell(directory.giveBack(name, startId, null));
    }
    this.#announceSoon(route);
  }

  /** The agents of the route that are linked here, as this node knows them. */
  of(route: string): WithAgents {
    const { node } = this.#context;
    const agents = [...(this.#routes.get(route)?.values() ?? [])];
    return withAgents(agents.map((agent): AgentSnapshot => ({ id: agent.id, node, room: freeRoom(agent), running: 0, ...factsOf(agent) })));
  }

  /** Nobody is to be given a start here any more. */
  stop(): void {
    if (this.#beat !== null) clearInterval(this.#beat);
    if (this.#soon !== null) clearTimeout(this.#soon);
    for (const route of this.#routes.keys()) this.#tell(this.#context.directory.announce(route, this.#context.node, []));
    this.#routes.clear();
  }

  /** Only about starts that it was given: another one is nothing of its own. */
  #answered(route: string, id: string, { startId, how, reason }: AgentAnswer): void {
    const agent = this.#routes.get(route)?.get(id);
    const given = agent?.starts.get(startId);
    if (agent === undefined || given === undefined) return;
    const { directory, log } = this.#context;
    this.#context.answered(route, how);
    if (how !== 'taken') agent.starts.delete(startId);
    if (how === 'failed') {
      log.warn({ route: given.route, startId, agent: id, reason }, 'an instance that an agent has started ended before it was ready');
      this.#tell(directory.giveBack(given.route, startId, reason === '' ? 'the instance ended before it was ready' : reason));
    } else {
      if (how === 'refused') log.info({ route: given.route, startId, agent: id, reason }, 'an agent has refused a start');
      // Its next report says the same.
      else if (!given.isTaken) agent.room = Math.max(0, agent.room - 1);
      if (how === 'refused' && given.isTaken) this.#tell(directory.giveBack(given.route, startId, null));
      given.isTaken = true;
      this.#tell(directory.answer(given.route, startId, id, how));
    }
  }

  #announceSoon(route: string): void {
    this.#changed.add(route);
    const due = guard('timer', () => {
      this.#soon = null;
      const changed = [...this.#changed];
      this.#changed.clear();
      for (const one of changed) this.#announce(one);
    });
    this.#soon ??= setTimeout(due, SOON_MS);
  }

  #announceAll(): void {
    // The next beat says the same.
    if (this.#announcing >= ANNOUNCING_MAX * Math.max(1, this.#routes.size)) return;
    for (const route of this.#routes.keys()) this.#announce(route);
  }

  #announce(route: string): void {
    const agents = [...(this.#routes.get(route)?.values() ?? [])].map((agent): AgentRoom => {
      const facts = factsOf(agent);
      return { id: agent.id, room: freeRoom(agent), ...(facts === null ? {} : { facts }) };
    });
    this.#announcing++;
    const announced = this.#context.directory.announce(route, this.#context.node, agents).finally(() => this.#announcing--);
    const look = announced.then(() => {
      if (this.#widened.delete(route)) this.#context.startNeeded(route);
    });
    this.#tell(look);
  }

  /** What the directory has not heard is said again with the next beat, or ends by its time. */
  #tell(told: Promise<unknown>): void {
    unawaited(
      'directory',
      told.catch(() => undefined),
    );
  }
}

/** Without that of starts which it has not answered yet. */
function freeRoom({ room, starts }: LinkedAgent): number {
  let open = 0;
  for (const { isTaken } of starts.values()) if (!isTaken) open++;
  return Math.max(0, room - open);
}

/** What it has said of itself; null: nothing yet. */
function factsOf({ said }: LinkedAgent): AgentFacts | null {
  if (said === null) return null;
  const { room: _, failure, ...facts } = said.report;
  if (failure === undefined) return facts;
  const ageMs = Math.round(failure.ageMs + performance.now() - said.at);
  return { ...facts, failure: { reason: failure.reason.slice(0, AGENT_FAILURE_CHARS_MAX), ageMs } };
}
