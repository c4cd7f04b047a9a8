import { unawaited } from '../boundary.ts';
import type { ClientLimits } from '../config/listener-settings.ts';
import { PullproxyError } from '../errors.ts';
import type { Log } from '../log.ts';
import { Exchange } from './http1/exchange.ts';
import type { ForwardedFrom } from './http1/head/forwarding.ts';
import type { HttpVisit } from './http1/http-visit.ts';
import { hstsLine, toHttps } from './http1/https-only.ts';
import type { WaitingRoom } from './http1/waiting-room.ts';
import type { Http2Service } from './http2/stream-client.ts';
import { WindowBudget } from './http2/upload-windows.ts';
import type { Keys } from './keys/keys.ts';
import type { Leaving } from './leaving.ts';
import type { TcpService } from './listeners/tcp.ts';
import { type ColdStart, roundedStages } from './matching/cold-start.ts';
import { RouteCounters } from './matching/counters.ts';
import type { Dispatcher } from './matching/dispatch.ts';
import type { Holds } from './matching/holds.ts';
import type { Lender } from './matching/lent-slots.ts';
import type { Route } from './matching/route.ts';
import type { RouteLookup } from './matching/route-lookup.ts';
import type { Routes } from './matching/routes.ts';
import type { Visit } from './matching/visit.ts';
import type { NodeOptions } from './node-options.ts';
import type { LiveVisit } from './visits/live-visit.ts';
import type { VisitWatchers } from './visits/visit-watchers.ts';

interface FrontDoorContext {
  readonly dispatcher: Dispatcher;
  readonly holds: Holds;
  readonly routes: Routes;
  readonly lookup: RouteLookup;
  readonly keys: Keys;
  readonly leaving: Leaving;
  readonly waitingRoom: WaitingRoom;
  /** Null: nobody watches visits. */
  readonly watch: VisitWatchers | null;
  readonly log: Log;
}

/** Takes the visits of all listeners: finds the route of each one, and gives it to the dispatcher. */
export class FrontDoor implements Http2Service, TcpService {
  readonly limits: ClientLimits;
  readonly windows: WindowBudget;
  readonly httpsLines: string;
  /** Responses to requests that belong to no route. */
  readonly unrouted = new RouteCounters();
  readonly #context: FrontDoorContext;
  readonly #httpsRedirect: number | undefined;

  constructor(settings: ClientLimits & Pick<NodeOptions, 'httpsRedirect' | 'hstsMs'>, context: FrontDoorContext) {
    this.limits = settings;
    this.windows = new WindowBudget(settings.http2WindowBytesMax);
    this.httpsLines = settings.hstsMs === undefined ? '' : hstsLine(settings.hstsMs);
    this.#httpsRedirect = settings.httpsRedirect;
    this.#context = context;
  }

  get draining(): boolean {
    return this.#context.leaving.isSaid;
  }

  isStillAsked(now: number): boolean {
    return this.#context.leaving.isAsked(now);
  }

  match(host: string, request: { readonly target: string }): Route | PullproxyError | null {
    return this.#context.routes.matchRequest(host, request);
  }

  visit(visit: HttpVisit, found: Route | PullproxyError | null): void {
    const { leaving, watch } = this.#context;
    const { head } = visit;
    leaving.asked();
    watch?.begin(visit, head.host);
    const isRefused = found instanceof PullproxyError;
    const route = isRefused ? null : found;
    if (this.#httpsRedirect !== undefined && head.proto !== 'https') visit.refuse(toHttps(head, this.#httpsRedirect));
    else if (isRefused) visit.refuse(found);
    else if (visit instanceof Exchange && route?.settings.protocol === 'h2c')
      visit.refuse(new PullproxyError('bad_request', 'the application of this name speaks HTTP/2 only'));
    // The bytes of a request would be a line protocol's commands to it.
    else if (route?.settings.protocol === 'tcp') visit.refuse(new PullproxyError('wrong_protocol'));
    else {
      const { host, target } = head;
      if (route?.settings.stripPrefix === true) visit.stripPrefix(this.#context.routes.prefixOf(route, host, target));
      this.#admit(visit, host, target, route);
    }
  }

  visitHost(visit: LiveVisit, host: string): void {
    this.#context.watch?.begin(visit, host);
    this.#admit(visit, host, '', this.#context.routes.match(host));
  }

  visitRoute(visit: LiveVisit, name: string): void {
    this.#context.watch?.begin(visit, name);
    const route = this.#context.routes.known(name);
    if (route !== null) this.#admitTo(visit, '', '', route);
    else unawaited(visit, this.#lookUp(visit, [name]));
  }

  leave(visit: Visit): void {
    this.#context.holds.release(visit);
  }

  retry(visit: Visit): void {
    if (this.#context.leaving.state === 'stopped') visit.refuse(new PullproxyError('draining'));
    else this.#context.dispatcher.retry(visit);
  }

  turnedAway(error: PullproxyError, from: ForwardedFrom): void {
    this.unrouted.answered(error.kind.status);
    this.#context.watch?.turnedAway(error, `HTTP/${from.version ?? '1.1'}`, from.origin.address);
  }

  coldStart({ route }: Visit, { birth, instance, startId }: Lender, stages: ColdStart): void {
    if (route === null || birth === undefined) return;
    route.coldStages.observe(stages);
    const facts = { route: route.name, instance, startId, coldStartMs: roundedStages(stages) };
    // One log line is enough for a crowd that waited for an instance.
    if (birth.logged) this.#context.log.debug(facts, 'served after a cold start');
    else this.#context.log.info(facts, 'served after a cold start');
    birth.logged = true;
  }

  /** `target`: what the client asks for, with the prefix that belongs to the route. */
  #admit(visit: Visit, host: string, target: string, route: Route | null): void {
    if (route !== null) this.#admitTo(visit, host, target, route);
    else unawaited(visit, this.#lookUp(visit, this.#context.routes.candidates(host)));
  }

  /** It is for this route, and for no key of it. Who comes back from a page has its place in the line first. */
  enter(visit: Visit, route: Route): void {
    const back = route.settings.waitingPageAfterMs === undefined ? null : this.#context.waitingRoom.comesBack(visit, route);
    if (back === null) this.#context.dispatcher.admit(visit, route);
    else unawaited(visit, this.#enterAgain(visit, route, back));
  }

  async #enterAgain(visit: Visit, route: Route, back: Promise<void>): Promise<void> {
    await back;
    if (!visit.isOver) this.#context.dispatcher.admit(visit, route);
  }

  #admitTo(visit: Visit, host: string, target: string, route: Route): void {
    if (route.settings.key === undefined) this.enter(visit, route);
    else this.#context.keys.admit(visit, { host, target }, route);
  }

  async #lookUp(visit: Visit, names: readonly string[]): Promise<void> {
    const { lookup, routes, dispatcher } = this.#context;
    const found = await lookup.find(names);
    if (visit.isOver) return;
    const route = found === null ? null : routes.linked(found);
    if (route === null) visit.refuse(new PullproxyError(lookup.isSure ? 'unknown_route' : 'directory_away'));
    else dispatcher.admit(visit, route);
  }
}
