import type { Cluster, ClusterListener, InstanceHome, KnownPause, Peer } from '../cluster/cluster.ts';
import type { LineTag } from '../cluster/fair-order.ts';
import { parseDialAddress } from '../config/host-port.ts';
import type { RouteSettings } from '../config/route-settings.ts';
import type { Handoffs } from './handoff/handoffs.ts';
import type { Lenders } from './lenders/lenders.ts';
import type { Dispatcher } from './matching/dispatch.ts';
import type { Holds } from './matching/holds.ts';
import type { Pauses } from './matching/pauses.ts';
import type { Routes } from './matching/routes.ts';
import type { NodeOptions } from './node-options.ts';
import type { VisitWatchers } from './visits/visit-watchers.ts';

interface ClusterEventsContext {
  readonly cluster: Cluster;
  readonly routes: Routes;
  readonly dispatcher: Dispatcher;
  readonly holds: Holds;
  readonly pauses: Pauses;
  readonly handoffs: Handoffs;
  readonly lenders: Lenders;
  /** Null: nobody watches visits. */
  readonly watch: VisitWatchers | null;
  readonly options: Pick<NodeOptions, 'startNeeded' | 'leaveAsked' | 'reloadAsked' | 'log'>;
}

/** Handles the events of the cluster. */
export class ClusterEvents implements ClusterListener {
  readonly #context: ClusterEventsContext;

  constructor(context: ClusterEventsContext) {
    this.#context = context;
  }

  onWant(name: string, count: number, asker: Peer, instance?: string): void {
    // An address that no linker can dial would cost the link on which it is said.
    const route = parseDialAddress(asker.address) === null ? undefined : this.#context.routes.get(name);
    const left = route === undefined ? count : this.#context.handoffs.handOver(route, count, asker.address, instance);
    if (left > 0 && instance === undefined) this.#context.cluster.short(name, left, asker);
  }

  onComing(route: string, count: number, from: string): void {
    this.#context.watch?.coming(route, count, from);
  }

  onHoldRefused(name: string, holdId: string): void {
    const route = this.#context.routes.get(name);
    if (route !== undefined) this.#context.holds.refuseHold(route, holdId);
  }

  onLines(name: string, tags: readonly LineTag[], since: (key: string) => number): void {
    this.#context.routes.get(name)?.order?.learn(tags, since);
  }

  onLargest(name: string, largest: number | null): void {
    const route = this.#context.routes.get(name);
    if (route === undefined || route.largest === largest) return;
    route.largest = largest;
    this.#context.dispatcher.match(route);
  }

  asksReady(name: string): boolean {
    return this.#context.routes.get(name)?.affinity != null;
  }

  onReady(name: string, ready: readonly InstanceHome[]): void {
    const route = this.#context.routes.get(name);
    if (route !== undefined) this.#context.dispatcher.instancesReady(route, ready);
  }

  onRematch(name: string): void {
    const route = this.#context.routes.get(name);
    if (route !== undefined) this.#context.dispatcher.match(route);
  }

  onPauses(pauses: ReadonlyMap<string, KnownPause>): void {
    this.#context.pauses.set(pauses);
  }

  onStartNeeded(route: string): void {
    if (this.#context.pauses.leftMs(route) > 0) return;
    this.#context.options.startNeeded(route);
  }

  onStartsFailing(name: string, forMs: number): void {
    const route = this.#context.routes.get(name);
    if (route === undefined) return;
    if (this.#context.dispatcher.startsFail(route, forMs))
      this.#context.options.log.warn({ route: name, forMs }, 'instances of a route fail to start: its clients are not held for now');
  }

  onNumbered(name: string, instanceId: string, seq: number): void {
    this.#context.lenders.numbered(name, instanceId, seq);
  }

  onTurnedAway(name: string, instanceId: string): void {
    this.#context.options.log.warn(
      { route: name, instance: instanceId },
      'an instance came after its start was given up: it is turned away',
    );
    this.#context.lenders.turnedAway(name, instanceId);
  }

  onNewest(name: string, instanceId: string): void {
    const route = this.#context.routes.get(name);
    if (route?.becameNewest(instanceId) !== true) return;
    const { before } = route.instances;
    for (const lender of route.slots.lenders) {
      // Nothing changes for the others, if they have been told.
      const changes = before === null || lender.instance === before || lender.instance === instanceId;
      if (changes && !lender.relayed) lender.link.newest(lender.instance === instanceId);
    }
  }

  onRoutes(routes: ReadonlyMap<string, RouteSettings>): void {
    this.#context.routes.configure(routes);
  }

  onStartGiven(route: string, startId: string, agent: string): void {
    this.#context.lenders.agents.given(route, startId, agent);
  }

  onLeaveAsked(delayMs?: number): void {
    this.#context.options.log.info({ delayMs }, 'the node was asked to leave');
    this.#context.options.leaveAsked?.(delayMs);
  }

  onReloadAsked(): void {
    this.#context.options.log.info('asked to read the configuration anew');
    this.#context.options.reloadAsked?.();
  }

  onConnected(connected: boolean): void {
    // Memory is always there: that is no news.
    if (!this.#context.cluster.isRemote) return;
    if (connected) this.#context.options.log.info('the directory answers');
    else this.#context.options.log.warn('the directory does not answer: local traffic goes on, clients stay held');
  }
}
