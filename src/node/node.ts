import { setTimeout as delay } from 'node:timers/promises';
import { unawaited } from '../boundary.ts';
import type { WithAgents } from '../cluster/agents.ts';
import type { Cluster, NodeLoad } from '../cluster/cluster.ts';
import { DEFAULT_ROUTE_SETTINGS } from '../config/route-settings.ts';
import { TrustedProxies } from './clients/trusted-proxies.ts';
import { ClusterEvents } from './cluster-events.ts';
import { FrontDoor } from './front-door.ts';
import { errandsAt, Handoffs } from './handoff/handoffs.ts';
import { Relays } from './handoff/relays.ts';
import { HistoryRecorder } from './history.ts';
import { Pages } from './http1/pages.ts';
import { WaitingRoom } from './http1/waiting-room.ts';
import { KeyChecks } from './keys/key-checks.ts';
import { Keys } from './keys/keys.ts';
import { Leaving } from './leaving.ts';
import { Lenders } from './lenders/lenders.ts';
import { type BackendTls, LinkServer, nodeTls } from './lenders/link-server.ts';
import { AddressLimit } from './listeners/address-limit.ts';
import type { ClientPort } from './listeners/client-port.ts';
import { portFor } from './listeners/listen.ts';
import { Dispatcher, type DispatcherEvents } from './matching/dispatch.ts';
import { HeldTally } from './matching/held-queue.ts';
import { Holds } from './matching/holds.ts';
import { Pauses } from './matching/pauses.ts';
import { RequestBuffers } from './matching/request-buffers.ts';
import type { Route } from './matching/route.ts';
import { RouteLookup } from './matching/route-lookup.ts';
import { Routes } from './matching/routes.ts';
import type { NodeAddresses, NodeOptions } from './node-options.ts';
import { ResponseRates } from './response-rates.ts';
import { VisitWatchers } from './visits/visit-watchers.ts';

/** At the end of a drain: how long the last responses may take to their clients. */
const LAST_RESPONSES_MS = 500;
/** How long it may take to write what was counted last. */
const HISTORY_MS = 500;

/** Overloaded routes that are told of. */
const OVERLOADED_MAX = 20;

/** One proxy process: the rooms of the data plane, put together, from its first port to its last connection. */
export class ProxyNode {
  readonly bound: NodeAddresses;
  readonly cluster: Cluster;
  readonly routes: Routes;
  readonly handoffs: Handoffs;
  readonly frontDoor: FrontDoor;
  readonly clusterEvents: ClusterEvents;
  readonly pauses: Pauses;
  readonly #responseRates = new ResponseRates();
  readonly #history: HistoryRecorder;
  readonly #options: NodeOptions;
  readonly #ports: readonly ClientPort[];
  readonly #linkServer: LinkServer;
  readonly #relays: Relays;
  readonly #lenders: Lenders;
  readonly #tally: HeldTally;
  readonly #holds: Holds;
  readonly #dispatcher: Dispatcher;
  readonly #keys: Keys;
  readonly #watch: VisitWatchers | null;
  readonly #leaving = new Leaving();
  readonly #listen: string[] = [];
  #drained: Promise<void> | null = null;
  #stopped: Promise<void> | null = null;

  /** Binds all ports and joins the cluster: linkers are let in first, clients last. Nothing stays open when it rejects. */
  static async start(options: NodeOptions): Promise<ProxyNode> {
    const { id: nodeId, backend, sharedBackend, secrets, linksPerSecretMax, log } = options;
    const { linkTiming: timing, linkVersionMin: versionMin, backendTls: tls } = options;
    const linkServer = new LinkServer({ nodeId, secrets, linksPerSecretMax, timing, versionMin, tls, log });
    let node: ProxyNode | null = null;
    try {
      const bound = await linkServer.listen(backend.host, backend.port);
      if (sharedBackend !== undefined) await linkServer.listen(sharedBackend.host, sharedBackend.port, true);
      node = new ProxyNode(options, linkServer, bound);
      await node.#open();
      return node;
    } catch (error) {
      linkServer.close();
      await node?.stop();
      throw error;
    }
  }

  /** `backend`: where `linkServer` is bound. */
  private constructor(options: NodeOptions, linkServer: LinkServer, backend: string) {
    const { secrets, linkTiming: timing, linkVersionMin: versionMin, backendTls: tls, log, watchers = [] } = options;
    this.#options = options;
    this.#linkServer = linkServer;
    this.bound = { backend, listen: this.#listen };
    const cluster = options.cluster(backend);
    this.cluster = cluster;
    this.#watch = watchers.length === 0 ? null : new VisitWatchers(watchers);

    const tally = new HeldTally(options.heldBytesMax);
    const waitingRoom = new WaitingRoom(cluster, options.secrets, options.pages ?? new Pages());
    const holds = new Holds(cluster, options.heldMax, tally, (visit, route) => waitingRoom.page(visit, route));
    const buffers = options.requestBufferBytes === 0 ? null : new RequestBuffers(options.requestBufferBytes, tally);
    const wishes: DispatcherEvents = {
      startNeeded: (route) => options.startNeeded(route),
      wantBack: (lender, count) => this.handoffs.recalled(lender, count),
    };
    const dispatcher = new Dispatcher(cluster, holds, wishes, buffers);
    const events = {
      expired: holds.expired.bind(holds),
      rematch: dispatcher.match.bind(dispatcher),
      asksAnew: holds.asksAnew.bind(holds),
      preferenceOver: dispatcher.preferenceOver.bind(dispatcher),
      overloaded: ({ name: route }: Route, waitMs: number) =>
        log.warn({ route, waitMs }, 'clients of a route leave before they are served: those who would wait for too long are refused'),
      ended: (route: Route, hasRoute: boolean) => this.#keys.ended(route, hasRoute),
    };
    const bounds = { perSecretMax: options.routesPerSecretMax };
    const routes = new Routes(options.routeDefaults ?? DEFAULT_ROUTE_SETTINGS, tally, events, bounds);
    this.#tally = tally;
    this.#holds = holds;
    this.#dispatcher = dispatcher;
    this.routes = routes;

    this.pauses = new Pauses({
      routes,
      resumed: (route) => dispatcher.match(route),
      changed: () => cluster.beatSoon(),
      lapsed: (route) => cluster.pauseLapsed(route),
      log,
    });

    const relayOptions = { secret: (route: string) => secrets(route)[0] ?? '', timing, versionMin, tls: tls && nodeTls(tls), log };
    this.#relays = new Relays(relayOptions, errandsAt(routes, dispatcher));
    this.handoffs = new Handoffs(dispatcher, this.#relays);
    this.#lenders = new Lenders({
      cluster,
      dispatcher,
      routes,
      handoffs: this.handoffs,
      startAnother: (route) => options.startNeeded(route, 1),
      startNeeded: (route) => options.startNeeded(route),
      left: (route, leaver) => options.instanceLeft?.(route, leaver),
      keyLeft: (route) => this.#keys.left(route),
      isLeaving: () => this.#leaving.hasBegun,
      log,
    });

    const lookup = new RouteLookup(cluster, log);
    const checks = new KeyChecks({ allowCommands: options.allowKeyCommands === true, log });
    this.#keys = new Keys({ cluster, routes, holds, checks, enter: (visit, key) => this.frontDoor.enter(visit, key) });
    this.frontDoor = new FrontDoor(options, {
      dispatcher,
      holds,
      routes,
      lookup,
      keys: this.#keys,
      leaving: this.#leaving,
      waitingRoom,
      watch: this.#watch,
      log,
    });
    this.#history = new HistoryRecorder(cluster, () => routes.all(), this.frontDoor.unrouted);
    this.clusterEvents = new ClusterEvents({
      cluster,
      routes,
      dispatcher,
      holds,
      pauses: this.pauses,
      handoffs: this.handoffs,
      lenders: this.#lenders,
      watch: this.#watch,
      options,
    });
    const trusted = new TrustedProxies(options.trustedProxies ?? []);
    const addressLimit = new AddressLimit(options.connectionsPerAddressMax ?? Number.POSITIVE_INFINITY, trusted);
    const additions = { via: options.via !== 'off', traceparent: watchers.some(({ beginsTraces }) => beginsTraces === true) };
    const surroundings = { ...options, trusted, addressLimit, additions };
    this.#ports = options.listen.map((url) => portFor(url, this.frontDoor, surroundings));
  }

  async #open(): Promise<void> {
    const { listen, sharedBackend } = this.#options;
    this.#linkServer.serve(this.#lenders, this.cluster.self.address);
    await this.cluster.start(this.clusterEvents, () => this.#load());
    for (const [i, { host, port }] of listen.entries()) {
      this.#listen.push(await (this.#ports[i] as ClientPort).listen(host, port, sharedBackend !== undefined));
    }
  }

  get draining(): boolean {
    return this.#leaving.isSaid;
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
      paused: this.pauses.here,
      overloaded: this.#overloaded(),
      failing: this.#responseRates.failing(this.routes.all()),
    };
  }

  #overloaded(): NodeLoad['overloaded'] {
    const now = performance.now();
    const all = [...this.routes.all()].flatMap((route) => {
      const waitMs = route.overloadMs(now);
      return waitMs === null ? [] : [{ route: route.name, waitMs: Math.round(waitMs) }];
    });
    return all.length === 0 ? undefined : all.sort((a, b) => a.waitMs - b.waitMs).slice(0, OVERLOADED_MAX);
  }

  /** The agents of the route that are linked here. */
  agents(route: string): WithAgents {
    return this.#lenders.agents.of(route);
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
    this.#drained ??= this.#stopped ?? this.#drain(timeoutMs, delayMs);
    return this.#drained;
  }

  /** The secrets in `secrets` have changed, or the backend port's certificate. */
  renewed(tls?: BackendTls): void {
    this.#linkServer.renewed(tls);
    if (tls !== undefined) this.#relays.replaceTls(nodeTls(tls));
  }

  /** Closes everything at once. */
  stop(): Promise<void> {
    if (this.#leaving.goOn('stopped')) {
      this.#close();
      this.#stopped = this.cluster.stop();
    }
    return this.#stopped as Promise<void>;
  }

  #close(): void {
    unawaited('directory', this.#history.close());
    this.pauses.stop();
    this.#keys.stop();
    this.#lenders.agents.stop();
    if (this.#watch !== null) this.#watch.isStopping = true;
    for (const port of this.#ports) port.close();
    this.#relays.closeAll();
    this.#linkServer.close();
  }

  async #drain(timeoutMs: number, delayMs: number): Promise<void> {
    this.#leaving.goOn('leaving');
    if (delayMs > 0) {
      for (const port of this.#ports) port.endIdle();
      await this.#leaving.until(() => this.#stopped !== null, delayMs);
    }
    if (!this.#leaving.goOn('draining')) return;
    await Promise.all(this.#ports.map((port) => port.drain()));
    this.#dispatcher.drain(this.routes.all());
    this.#relays.goAway();
    this.#linkServer.goAway();
    // Slots that are lent on must be home before the links go: the node that has them may open a stream at any moment.
    await this.#leaving.until(() => this.held + this.active + this.#relays.lent + this.#connections === 0, timeoutMs);
    this.#holds.refuseAll(this.routes.all());
    await this.#leaving.until(() => this.#connections === 0, LAST_RESPONSES_MS);
    await Promise.race([this.#history.close(), delay(HISTORY_MS, undefined, { ref: false })]);
    await this.stop();
  }

  get #connections(): number {
    return this.#ports.reduce((sum, { connections }) => sum + connections, 0);
  }
}
