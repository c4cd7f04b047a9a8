import { unawaited } from '../boundary.ts';
import type { Cluster, ClusterListener, NodeLoad, Peer } from '../cluster/cluster.ts';
import { parseDialAddress } from '../config/host-port.ts';
import type { ClientLimits } from '../config/listener-settings.ts';
import { DEFAULT_ROUTE_SETTINGS, type RouteSettings } from '../config/route-settings.ts';
import { PullproxyError } from '../errors.ts';
import { TrustedProxies } from './clients/trusted-proxies.ts';
import { Handoffs } from './handoff/handoffs.ts';
import { Relays } from './handoff/relays.ts';
import { Exchange } from './http1/exchange.ts';
import type { ForwardedFrom } from './http1/head/forwarding.ts';
import { hstsLine, toHttps } from './http1/https-only.ts';
import type { Http2Service } from './http2/stream-client.ts';
import { WindowBudget } from './http2/upload-windows.ts';
import { Leaving } from './leaving.ts';
import { Lenders } from './lenders/lenders.ts';
import { type BackendTls, LinkServer, nodeTls } from './lenders/link-server.ts';
import { AddressLimit } from './listeners/address-limit.ts';
import type { ClientPort } from './listeners/client-port.ts';
import { portFor } from './listeners/listen.ts';
import type { TcpService } from './listeners/tcp.ts';
import { RouteCounters } from './matching/counters.ts';
import { Dispatcher } from './matching/dispatch.ts';
import { HeldTally } from './matching/held-queue.ts';
import { Holds } from './matching/holds.ts';
import type { Route } from './matching/route.ts';
import { RouteLookup } from './matching/route-lookup.ts';
import { Routes } from './matching/routes.ts';
import type { Lender } from './matching/slots.ts';
import type { NodeAddresses, NodeOptions } from './node-options.ts';
import { type ColdStart, roundedStages } from './visits/cold-start.ts';
import type { HttpVisit } from './visits/http-visit.ts';
import { RequestBuffers } from './visits/request-buffers.ts';
import type { Visit } from './visits/visit.ts';
import { VisitWatchers } from './visits/visit-watchers.ts';

/** At the end of a drain: how long the last answers may take to their clients. */
const LAST_RESPONSES_MS = 500;

/** `leaving`: whoever sends clients here is to notice, and to stop; until then they are served. */
type NodeState = 'new' | 'starting' | 'serving' | 'leaving' | 'draining' | 'stopped';

/** One proxy process: the rooms of the data plane, put together. */
export class ProxyNode implements Http2Service, TcpService, ClusterListener {
  readonly limits: ClientLimits;
  readonly windows: WindowBudget;
  readonly httpsLines: string;
  /** Answers to requests that belong to no route. */
  readonly unrouted = new RouteCounters();
  readonly routes: Routes;
  readonly #options: NodeOptions;
  readonly #ports: readonly ClientPort[];
  readonly #linkServer: LinkServer;
  readonly #relays: Relays;
  readonly #tally: HeldTally;
  #cluster!: Cluster;
  #dispatcher!: Dispatcher;
  #holds!: Holds;
  #lenders!: Lenders;
  #handoffs!: Handoffs;
  #lookup!: RouteLookup;
  readonly #watch: VisitWatchers | null;
  #state: NodeState = 'new';
  #drained: Promise<void> | null = null;
  readonly #leaving = new Leaving();
  #stopped: Promise<void> | null = null;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.limits = options;
    this.windows = new WindowBudget(options.http2WindowBytesMax);
    this.httpsLines = options.hstsMs === undefined ? '' : hstsLine(options.hstsMs);
    this.#watch = options.watchers?.length ? new VisitWatchers(options.watchers) : null;
    this.#tally = new HeldTally(options.heldBytesMax);
    const defaults = options.routeDefaults ?? DEFAULT_ROUTE_SETTINGS;
    const bounds = { perSecretMax: options.routesPerSecretMax };
    this.routes = new Routes(
      defaults,
      this.#tally,
      { expired: (visit) => this.#holds.expired(visit), rematch: (route) => this.#dispatcher.match(route) },
      bounds,
    );
    const trusted = new TrustedProxies(options.trustedProxies ?? []);
    const addressLimit = new AddressLimit(options.connectionsPerAddressMax ?? Number.POSITIVE_INFINITY, trusted);
    const additions = {
      via: options.via !== 'off',
      traceparent: options.watchers?.some(({ beginsTraces }) => beginsTraces === true) === true,
    };
    const surroundings = { ...options, trusted, addressLimit, additions };
    this.#ports = options.listen.map((url) => portFor(url, this, surroundings));
    const { secrets, linkTiming: timing, linkVersionMin: versionMin, backendTls: tls, log } = options;
    this.#relays = new Relays({ secret: (route) => secrets(route)[0] ?? '', timing, versionMin, tls: tls && nodeTls(tls), log });
    this.#linkServer = new LinkServer({
      nodeId: options.id,
      address: () => this.#cluster.self.address,
      secrets,
      timing,
      versionMin,
      tls,
      log,
    });
  }

  /** Binds all ports and joins the cluster. Linkers are accepted first, clients last. */
  async start(): Promise<NodeAddresses> {
    if (this.#state !== 'new') throw new Error(`a node that is ${this.#state} can't start`);
    this.#state = 'starting';
    try {
      return await this.#start();
    } catch (error) {
      // What was bound while it was stopped, too.
      this.#close();
      await this.stop();
      throw error;
    }
  }

  async #start(): Promise<NodeAddresses> {
    const { backend: at, sharedBackend, listen } = this.#options;
    const isShared = sharedBackend !== undefined;
    const backend = await this.#linkServer.listen(at.host, at.port);
    if (isShared) await this.#linkServer.listen(sharedBackend.host, sharedBackend.port, true);
    this.#expectNotStopped();
    this.#cluster = this.#options.cluster(backend);
    this.#lookup = new RouteLookup(this.#cluster, this.#options.log);
    const { requestBufferBytes } = this.#options;
    const buffers = requestBufferBytes === 0 ? null : new RequestBuffers(requestBufferBytes, this.#tally);
    const startNeeded = (route: string): void => this.onStartNeeded(route);
    this.#holds = new Holds(this.#cluster, this.#options.heldMax, this.#tally);
    this.#dispatcher = new Dispatcher(this.#cluster, this.#holds, startNeeded, buffers);
    this.#handoffs = new Handoffs(this.#dispatcher, this.#relays);
    this.#lenders = new Lenders({
      cluster: this.#cluster,
      dispatcher: this.#dispatcher,
      routes: this.routes,
      handoffs: this.#handoffs,
      startAnother: (route) => this.#options.startNeeded(route, 1),
      left: (route, leaver) => this.#options.instanceLeft?.(route, leaver),
      isLeaving: () => this.draining && this.#state !== 'leaving',
      log: this.#options.log,
    });
    this.#linkServer.serve(this.#lenders);
    await this.#cluster.start(this, () => this.#load());
    this.#expectNotStopped();
    const urls: string[] = [];
    for (const [i, { host, port }] of listen.entries()) {
      urls.push(await (this.#ports[i] as ClientPort).listen(host, port, isShared));
      this.#expectNotStopped();
    }
    this.#state = 'serving';
    return { listen: urls, backend };
  }

  #expectNotStopped(): void {
    if (this.#state === 'stopped') throw new Error('the node was stopped while it started');
  }

  get cluster(): Cluster {
    return this.#cluster;
  }

  get handoffs(): Handoffs {
    return this.#handoffs;
  }

  get draining(): boolean {
    return ['leaving', 'draining', 'stopped'].includes(this.#state);
  }

  get held(): number {
    return this.#tally.size;
  }

  get active(): number {
    let active = 0;
    for (const route of this.routes.all()) active += route.slots.active;
    return active;
  }

  #load(): NodeLoad {
    const { hold, coldStart } = this.#holds.waits;
    return {
      held: this.held,
      active: this.active,
      links: this.#linkServer.links,
      draining: this.draining,
      holds: hold.seen,
      coldStarts: coldStart.seen,
    };
  }

  /** Instances of the route that have their home link here. */
  homes(route: Route): number {
    let homes = 0;
    for (const lender of route.slots.lenders) if (this.#lenders.isHome(route.name, lender)) homes++;
    return homes;
  }

  /**
   * Leaves: says so and serves on for `delayMs`. Then it accepts nobody new, gives idle slots back, answers those who are held or being
   * served, for at most `timeoutMs`, refuses who is still held and closes everything.
   */
  drain(timeoutMs: number, delayMs = 0): Promise<void> {
    this.#drained ??= this.#state === 'serving' ? this.#drain(timeoutMs, delayMs) : this.stop();
    return this.#drained;
  }

  /** What `secrets` says has changed, or the backend port's certificate. */
  renewed(tls?: BackendTls): void {
    this.#linkServer.renewed(tls);
    if (tls !== undefined) this.#relays.replaceTls(nodeTls(tls));
  }

  /** Closes everything at once. */
  stop(): Promise<void> {
    if (this.#stopped === null) {
      this.#state = 'stopped';
      this.#close();
      this.#stopped = this.#cluster?.stop() ?? Promise.resolve();
    }
    return this.#stopped;
  }

  #close(): void {
    if (this.#watch !== null) this.#watch.isStopping = true;
    for (const port of this.#ports) port.close();
    this.#relays.closeAll();
    this.#linkServer.close();
  }

  async #drain(timeoutMs: number, delayMs: number): Promise<void> {
    this.#state = 'leaving';
    if (delayMs > 0) await this.#leaving.until(() => this.#stopped !== null, delayMs);
    if (this.#stopped !== null) return;
    this.#state = 'draining';
    this.#leaving.begin();
    await Promise.all(this.#ports.map((port) => port.drain()));
    this.#dispatcher.drain(this.routes.all());
    this.#relays.goAway();
    this.#linkServer.goAway();
    // Slots that are lent on must be home before the links go: the node that has them may open a stream at any moment.
    await this.#leaving.until(() => this.held + this.active + this.#relays.lent + this.#connections === 0, timeoutMs);
    this.#holds.refuseAll(this.routes.all());
    await this.#leaving.until(() => this.#connections === 0, LAST_RESPONSES_MS);
    await this.stop();
  }

  get #connections(): number {
    return this.#ports.reduce((sum, { connections }) => sum + connections, 0);
  }

  // ── clients (HttpService) ──

  isStillAsked(now: number): boolean {
    return this.#leaving.isAsked(now);
  }

  visit(visit: HttpVisit): void {
    const { httpsRedirect } = this.#options;
    this.#leaving.asked();
    this.#watch?.begin(visit, visit.head.host);
    const route = this.routes.match(visit.head.host);
    if (httpsRedirect !== undefined && visit.head.proto !== 'https') visit.refuse(toHttps(visit.head, httpsRedirect));
    else if (visit instanceof Exchange && isHttp2(route))
      visit.refuse(new PullproxyError('bad_request', 'the application of this name speaks HTTP/2 only'));
    // The bytes of a request would be a line protocol's commands to it.
    else if (route?.settings.protocol === 'tcp') visit.refuse(new PullproxyError('wrong_protocol'));
    else this.#admit(visit, visit.head.host, route);
  }

  speaksHttp2(host: string): boolean {
    return isHttp2(this.routes.match(host));
  }

  visitHost(visit: Visit, host: string): void {
    this.#watch?.begin(visit, host);
    this.#admit(visit, host, this.routes.match(host));
  }

  visitRoute(visit: Visit, name: string): void {
    this.#watch?.begin(visit, name);
    const route = this.routes.known(name);
    if (route !== null) this.#dispatcher.admit(visit, route);
    else unawaited(visit, this.#lookUp(visit, [name]));
  }

  leave(visit: Visit): void {
    this.#holds.release(visit);
  }

  retry(visit: Visit): void {
    if (this.#state === 'stopped') visit.refuse(new PullproxyError('draining'));
    else this.#dispatcher.retry(visit);
  }

  turnedAway(error: PullproxyError, from: ForwardedFrom): void {
    this.unrouted.answered(error.kind.status);
    this.#watch?.turnedAway(error, from);
  }

  answered(visit: Visit, status: number): void {
    (visit.route?.counters ?? this.unrouted).answered(status);
    visit.record?.answered(status);
  }

  coldStart(exchange: Exchange, lender: Lender, stages: ColdStart): void {
    const { route } = exchange;
    if (route === null || lender.birth === undefined) return;
    route.coldStages.observe(stages);
    const facts = { route: route.name, instance: lender.instance, startId: lender.startId, coldStartMs: roundedStages(stages) };
    // Of the crowd that waited for an instance one is enough to look at.
    if (lender.birth.logged) this.#options.log.debug(facts, 'served after a cold start');
    else this.#options.log.info(facts, 'served after a cold start');
    lender.birth.logged = true;
  }

  #admit(visit: Visit, host: string, route: Route | null): void {
    if (route !== null) this.#dispatcher.admit(visit, route);
    else unawaited(visit, this.#lookUp(visit, this.routes.candidates(host)));
  }

  async #lookUp(visit: Visit, names: readonly string[]): Promise<void> {
    const found = await this.#lookup.find(names);
    if (visit.isOver) return;
    const route = found === null ? null : this.routes.linked(found);
    if (route === null) visit.refuse(new PullproxyError(this.#lookup.isSure ? 'unknown_route' : 'directory_away'));
    else this.#dispatcher.admit(visit, route);
  }

  // ── the cluster (ClusterListener) ──

  onWant(name: string, count: number, asker: Peer): void {
    // An address that no linker can dial would cost the link on which it is said.
    const route = parseDialAddress(asker.address) === null ? undefined : this.routes.get(name);
    const left = route === undefined ? count : this.#handoffs.handOver(route, count, asker.address);
    if (left > 0) this.#cluster.short(name, left, asker);
  }

  onComing(route: string, count: number, from: string): void {
    this.#watch?.coming(route, count, from);
  }

  onHoldRefused(name: string, holdId: string): void {
    const route = this.routes.get(name);
    if (route !== undefined) this.#holds.refuseHold(route, holdId);
  }

  onRematch(name: string): void {
    const route = this.routes.get(name);
    if (route !== undefined) this.#dispatcher.match(route);
  }

  onStartNeeded(route: string): void {
    this.#options.startNeeded(route);
  }

  onStartsFailing(name: string, forMs: number): void {
    const route = this.routes.get(name);
    if (route === undefined) return;
    if (this.#dispatcher.startsFail(route, forMs))
      this.#options.log.warn({ route: name, forMs }, 'its instances fail to start: clients are not held for now');
  }

  onNumbered(name: string, instanceId: string, seq: number): void {
    this.#lenders.numbered(name, instanceId, seq);
  }

  onNewest(name: string, instanceId: string): void {
    const route = this.routes.get(name);
    if (route?.becameNewest(instanceId) !== true) return;
    const { before } = route.instances;
    for (const lender of route.slots.lenders) {
      // Of all others nothing changes, if they have been told.
      const changes = before === null || lender.instance === before || lender.instance === instanceId;
      if (changes && !lender.relayed) lender.link.newest(lender.instance === instanceId);
    }
  }

  onRoutes(routes: ReadonlyMap<string, RouteSettings>): void {
    this.routes.configure(routes);
  }

  onLeaveAsked(delayMs?: number): void {
    this.#options.log.info({ delayMs }, 'asked to leave');
    this.#options.leaveAsked?.(delayMs);
  }

  onConnected(connected: boolean): void {
    if (connected) this.#options.log.info('the directory answers');
    else this.#options.log.warn('the directory does not answer: local traffic goes on, clients stay held');
  }
}

function isHttp2(route: Route | null): boolean {
  return route?.settings.protocol === 'h2c';
}
