import type { Cluster, ClusterListener, Peer } from '../cluster/cluster.ts';
import type { HostPort } from '../config/host-port.ts';
import { DEFAULT_ROUTE_SETTINGS, type RouteSettings } from '../config/route-settings.ts';
import { PullproxyError } from '../errors.ts';
import type { LinkTiming } from '../link/link.ts';
import type { InstanceReport } from '../link/node-link.ts';
import type { Log } from '../log.ts';
import { HandoffCounters, RouteCounters } from './counters.ts';
import { Dispatcher, type HeldLimits } from './dispatch.ts';
import type { HttpService } from './http1/connection.ts';
import type { Exchange } from './http1/exchange.ts';
import { LinkServer } from './link-server.ts';
import { HttpListener } from './listeners/http.ts';
import { Relays } from './relay.ts';
import { type Route, Routes } from './routes.ts';
import type { Lender } from './slots.ts';

export interface NodeOptions extends HeldLimits {
  readonly id: string;
  readonly listen: readonly HostPort[];
  readonly backend: HostPort;
  /** Makes the cluster that this node joins; `bound` is the backend port's HOST:PORT. */
  readonly cluster: (bound: string) => Cluster;
  /** Clients of `route` are held and no slot is known; with `force`, one more instance is wanted in any case. */
  readonly startNeeded: (route: string, force?: number) => void;
  /** The secrets with which a linker may serve `route`; the first one is also used to relay. */
  readonly secrets: (route: string) => readonly string[];
  readonly routeDefaults?: RouteSettings;
  readonly connectionsMax: number;
  readonly headBytesMax: number;
  readonly headTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly linkTiming?: LinkTiming;
  readonly log: Log;
}

export interface NodeAddresses {
  readonly listen: readonly string[];
  readonly backend: string;
}

/** Hosts that are looked up in the directory at the same time. */
const LOOKUPS_MAX = 1_000;
const DRAIN_POLL_MS = 20;

/** One proxy process: the rooms of the data plane, put together. */
export class ProxyNode implements HttpService, ClusterListener {
  readonly headBytesMax: number;
  readonly headTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly handoffs = new HandoffCounters();
  /** Answers to requests that belong to no route. */
  readonly unrouted = new RouteCounters();
  readonly routes: Routes;
  readonly #options: NodeOptions;
  readonly #listeners: HttpListener[];
  readonly #linkServer: LinkServer;
  readonly #relays: Relays;
  /** Instances whose home link is here: what the cluster was told last. */
  readonly #homes = new Map<string, Lender>();
  #cluster!: Cluster;
  #dispatcher!: Dispatcher;
  #lookups = 0;
  #state: 'new' | 'serving' | 'draining' | 'stopped' = 'new';

  constructor(options: NodeOptions) {
    this.#options = options;
    this.headBytesMax = options.headBytesMax;
    this.headTimeoutMs = options.headTimeoutMs;
    this.keepAliveTimeoutMs = options.keepAliveTimeoutMs;
    this.routes = new Routes(options.routeDefaults ?? DEFAULT_ROUTE_SETTINGS, (entry) => this.#dispatcher.expired(entry));
    this.#listeners = options.listen.map(() => new HttpListener(this, options.connectionsMax));
    const { secrets, linkTiming: timing, log } = options;
    this.#relays = new Relays({ secret: (route) => secrets(route)[0] ?? '', timing, log });
    this.#linkServer = new LinkServer({ nodeId: options.id, secrets, timing, log }, this);
  }

  /** Binds all ports and joins the cluster. Linkers are accepted first, clients last. */
  async start(): Promise<NodeAddresses> {
    const { backend: at, listen } = this.#options;
    const backend = await this.#linkServer.listen(at.host, at.port);
    this.#cluster = this.#options.cluster(backend);
    this.#dispatcher = new Dispatcher(this.#cluster, this.#options, this.handoffs);
    this.#linkServer.serve();
    await this.#cluster.start(this, () => ({ held: this.held, active: this.active, links: this.#linkServer.links }));
    this.#state = 'serving';
    const urls: string[] = [];
    for (const [i, { host, port }] of listen.entries()) urls.push(await (this.#listeners[i] as HttpListener).listen(host, port));
    return { listen: urls, backend };
  }

  get cluster(): Cluster {
    return this.#cluster;
  }

  get draining(): boolean {
    return this.#state === 'draining' || this.#state === 'stopped';
  }

  get held(): number {
    return this.#dispatcher.held;
  }

  get active(): number {
    let active = 0;
    for (const route of this.routes.all()) active += route.slots.active;
    return active;
  }

  /** Instances of the route that have their home link here. */
  homes(route: Route): number {
    let homes = 0;
    for (const lender of route.slots.lenders) if (this.#homes.get(lender.instance) === lender) homes++;
    return homes;
  }

  /**
   * Leaves: accepts nobody new, gives idle slots back, answers those who are held or being served, for at most `timeoutMs`;
   * then refuses who is still held and closes everything.
   */
  async drain(timeoutMs: number): Promise<void> {
    if (this.draining) return;
    this.#state = 'draining';
    for (const listener of this.#listeners) listener.drain();
    this.#dispatcher.drain(this.routes.all());
    this.#linkServer.goAway();
    const deadline = performance.now() + timeoutMs;
    while (
      performance.now() < deadline &&
      (this.held > 0 || this.active > 0 || this.#listeners.some((listener) => listener.connections > 0))
    )
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    this.#dispatcher.refuseAll(this.routes.all());
    await this.stop();
  }

  /** Closes everything at once. */
  async stop(): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    for (const listener of this.#listeners) listener.close();
    this.#relays.closeAll();
    this.#linkServer.close();
    await this.#cluster.stop();
  }

  // ── clients (HttpService) ──

  visit(exchange: Exchange): void {
    const route = this.routes.match(exchange.head.host);
    if (route !== null) this.#dispatcher.admit(exchange, route);
    else void this.#lookUp(exchange);
  }

  leave(exchange: Exchange): void {
    this.#dispatcher.leave(exchange);
  }

  retry(exchange: Exchange): void {
    this.#dispatcher.retry(exchange);
  }

  answered(exchange: Exchange | null, status: number): void {
    (exchange?.route?.counters ?? this.unrouted).answered(status);
  }

  /** A host that this node doesn't know may be served by a linker at another node. */
  async #lookUp(exchange: Exchange): Promise<void> {
    let found: string | null = null;
    if (this.#lookups < LOOKUPS_MAX) {
      this.#lookups++;
      found = await this.#cluster.linkedRoute(this.routes.candidates(exchange.head.host));
      this.#lookups--;
    }
    if (exchange.isOver) return;
    const route = found === null ? null : this.routes.linked(found);
    if (route === null) exchange.refuse(new PullproxyError('unknown_route'));
    else this.#dispatcher.admit(exchange, route);
  }

  // ── linkers (LenderEvents) ──

  linked(name: string, lender: Lender): boolean {
    const route = this.routes.linked(name);
    if (route === null) return false;
    route.slots.add(lender);
    if (route.newest !== null) lender.link.newest(route.newest === lender.instance);
    if (this.draining) lender.link.goAway();
    return true;
  }

  idle(name: string): void {
    const route = this.routes.get(name);
    if (route !== undefined) this.#dispatcher.match(route);
  }

  moveFailed(_route: string, lender: Lender, count: number, address: string): void {
    this.handoffs.results.failed += count;
    this.#relays.markUnreachable(lender, address);
  }

  report(route: string, lender: Lender, { home, state, active }: InstanceReport): void {
    const { instance: id, seq, concurrency, startId } = lender;
    if (home) {
      this.#homes.set(id, lender);
      this.#cluster.instance(route, { id, seq, concurrency, state, active, startId });
    } else if (this.#homes.get(id) === lender) {
      this.#homes.delete(id);
      this.#cluster.instanceGone(route, id);
    }
  }

  retire(route: string, lender: Lender): void {
    const minInstances = this.routes.get(route)?.settings.minInstances ?? 0;
    void this.#cluster.mayRetire(route, lender.instance, minInstances).then((may) => lender.link.answerRetire(may));
  }

  startAnother(route: string): void {
    this.#options.startNeeded(route, 1);
  }

  recalled(lender: Lender, count: number): void {
    this.#relays.recall(lender, count);
  }

  gone(name: string, lender: Lender): void {
    this.#relays.close(lender);
    this.routes.get(name)?.slots.remove(lender);
    // Renews how long the route is remembered: whoever comes while its linker restarts is held.
    this.routes.linked(name);
    if (this.#homes.get(lender.instance) !== lender) return;
    this.#homes.delete(lender.instance);
    this.#cluster.instanceGone(name, lender.instance);
  }

  // ── the cluster (ClusterListener) ──

  onWant(name: string, count: number, asker: Peer): void {
    const left = this.#dispatcher.moveAway(this.routes.get(name), count, asker.address, this.#relays);
    if (left > 0) this.#cluster.short(name, left, asker);
  }

  onComing(): void {}

  onHoldRefused(name: string, holdId: string): void {
    const route = this.routes.get(name);
    if (route !== undefined) this.#dispatcher.refuseHold(route, holdId);
  }

  onStartNeeded(route: string): void {
    this.#options.startNeeded(route);
  }

  onNewest(name: string, instanceId: string): void {
    const route = this.routes.get(name);
    if (route === undefined || route.newest === instanceId) return;
    route.newest = instanceId;
    for (const lender of route.slots.lenders) if (!lender.relayed) lender.link.newest(lender.instance === instanceId);
  }

  onRoutes(routes: ReadonlyMap<string, RouteSettings>): void {
    this.routes.configure(routes);
  }

  onConnected(connected: boolean): void {
    if (connected) this.#options.log.info('the directory answers');
    else this.#options.log.warn('the directory does not answer: local traffic goes on, clients stay held');
  }
}
