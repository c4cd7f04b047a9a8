import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import type { ClusterListener, InstanceInfo, KnownPause, NodeLoad, Peer } from '../../src/cluster/cluster.ts';
import type { DeclarationsKept } from '../../src/cluster/declarations.ts';
import type { Bell, BellListener, Directory, Ring } from '../../src/cluster/directory.ts';
import { ClusterMember } from '../../src/cluster/member/member.ts';
import type { RouteSettings } from '../../src/config/route-settings.ts';
import { type Cuttable, cuttable } from './cuttable.ts';

export const silent = pino({ level: 'silent' });

/** One implementation of the directory and the bell under test. */
export interface Twin {
  readonly name: string;
  /** Begins with an empty directory. */
  open(): Promise<Backing>;
  close(): Promise<void>;
}

export interface Backing {
  /** A directory and a bell for one member, or for somebody who only looks. */
  connect(): Promise<{ directory: Directory; bell: Bell }>;
  /** All that the directory knows is gone. */
  lose(): Promise<void>;
  /** Its scripts tell no nodes of their moves: a message must go to the shard of its channel. */
  readonly isSharded?: boolean;
}

export type Said =
  | {
      readonly t: 'want';
      readonly route: string;
      readonly count: number;
      readonly asker: Peer;
      readonly instance?: string;
      readonly at: number;
    }
  | { readonly t: 'coming'; readonly route: string; readonly count: number; readonly from: string; readonly at: number }
  | { readonly t: 'refused'; readonly route: string; readonly id: string; readonly at: number }
  | { readonly t: 'start'; readonly route: string; readonly at: number }
  | { readonly t: 'failing'; readonly route: string; readonly forMs: number; readonly at: number }
  | { readonly t: 'rematch'; readonly route: string; readonly at: number }
  | { readonly t: 'numbered'; readonly route: string; readonly instance: string; readonly seq: number; readonly at: number }
  | { readonly t: 'turnedAway'; readonly route: string; readonly instance: string; readonly at: number }
  | { readonly t: 'newest'; readonly route: string; readonly instance: string; readonly at: number }
  | { readonly t: 'given'; readonly route: string; readonly startId: string; readonly agent: string; readonly at: number }
  | { readonly t: 'routes'; readonly routes: ReadonlyMap<string, RouteSettings>; readonly at: number }
  | { readonly t: 'pauses'; readonly pauses: ReadonlyMap<string, KnownPause>; readonly at: number }
  | { readonly t: 'connected'; readonly connected: boolean; readonly at: number }
  | { readonly t: 'leave'; readonly delayMs: number | undefined; readonly at: number };

type Kind = Said['t'];
type SaidOf<K extends Kind> = Extract<Said, { t: K }>;
type Told = { [K in Kind]: Omit<SaidOf<K>, 'at'> }[Kind];

/** A member with a node that writes down what it hears, and moves idle slots when they are wanted as far as there are any. */
export class TestMember {
  readonly cluster: ClusterMember;
  readonly said: Said[] = [];
  load: NodeLoad = { held: 0, active: 0, links: 0 };
  readonly #connection: Cuttable;
  readonly #idle = new Map<string, number>();
  #waiting: (() => void)[] = [];

  constructor(id: string, connection: Cuttable, kept: DeclarationsKept = {}) {
    this.#connection = connection;
    const self = { id, address: `${id}.test:9080` };
    const { directory, bell } = connection;
    this.cluster = new ClusterMember({ self, version: '1.2.3', log: silent, directory, bell, kept });
  }

  get peer(): Peer {
    return this.cluster.self;
  }

  start(listener: ClusterListener = this.listener()): Promise<void> {
    return this.cluster.start(listener, () => this.load);
  }

  listener(): ClusterListener {
    return {
      onWant: (route, count, asker, instance) => {
        this.idle(route, Math.max(0, (this.#idle.get(route) ?? 0) - count));
        this.#hear({ t: 'want', route, count, asker, ...(instance === undefined ? {} : { instance }) });
      },
      onComing: (route, count, from) => this.#hear({ t: 'coming', route, count, from }),
      onHoldRefused: (route, id) => this.#hear({ t: 'refused', route, id }),
      onStartNeeded: (route) => this.#hear({ t: 'start', route }),
      onStartsFailing: (route, forMs) => this.#hear({ t: 'failing', route, forMs }),
      onRematch: (route) => this.#hear({ t: 'rematch', route }),
      onPauses: (pauses) => this.#hear({ t: 'pauses', pauses }),
      onNumbered: (route, instance, seq) => this.#hear({ t: 'numbered', route, instance, seq }),
      onTurnedAway: (route, instance) => this.#hear({ t: 'turnedAway', route, instance }),
      onStartGiven: (route, startId, agent) => this.#hear({ t: 'given', route, startId, agent }),
      onNewest: (route, instance) => this.#hear({ t: 'newest', route, instance }),
      onRoutes: (routes) => this.#hear({ t: 'routes', routes }),
      onConnected: (connected) => this.#hear({ t: 'connected', connected }),
      onLeaveAsked: (delayMs) => this.#hear({ t: 'leave', delayMs }),
    };
  }

  /** So many slots lie idle here now. */
  idle(route: string, count: number): void {
    this.#idle.set(route, count);
    this.cluster.idle(route, count);
  }

  all<K extends Kind>(kind: K): SaidOf<K>[] {
    return this.said.filter((said): said is SaidOf<K> => said.t === kind);
  }

  /** The first of that kind for which `check` holds, past or to come. */
  async hears<K extends Kind>(kind: K, check: (said: SaidOf<K>) => boolean = () => true, withinMs = 5_000): Promise<SaidOf<K>> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const found = this.all(kind).find(check);
      if (found !== undefined) return found;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`${this.peer.id} did not hear '${kind}' within ${withinMs} ms, but ${JSON.stringify(this.said)}`);
      await Promise.race([new Promise<void>((resolve) => this.#waiting.push(resolve)), delay(leftMs, undefined, { ref: false })]);
    }
  }

  forget(): void {
    this.said.length = 0;
  }

  /** How often it has called that method of the directory. */
  calls(method: keyof Directory): number {
    return this.#connection.calls.get(method) ?? 0;
  }

  /** As kill -9 would: it stops beating and hearing, and leaves everything behind. */
  kill(): Promise<void> {
    return this.#connection.cut();
  }

  /** As if it had only been frozen; it hears nothing, though. */
  revive(): void {
    this.#connection.mend();
  }

  #hear(told: Told): void {
    this.said.push({ ...told, at: performance.now() } as Said);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

/** The members of one test, and somebody who looks at the directory from outside. */
export class World {
  readonly backing: Backing;
  readonly observer: Directory;
  readonly #members: TestMember[] = [];

  private constructor(backing: Backing, observer: Directory) {
    this.backing = backing;
    this.observer = observer;
  }

  static async open(twin: Twin): Promise<World> {
    const backing = await twin.open();
    const { directory } = await backing.connect();
    return new World(backing, directory);
  }

  /** `bell` may wrap the member's bell, to lose messages. Not started yet. */
  async prepare(id: string, bell: (bell: Bell) => Bell = (same) => same, kept: DeclarationsKept = {}): Promise<TestMember> {
    const connection = await this.backing.connect();
    const member = new TestMember(id, cuttable(connection.directory, bell(connection.bell)), kept);
    this.#members.push(member);
    return member;
  }

  async join(id: string, bell?: (bell: Bell) => Bell): Promise<TestMember> {
    const member = await this.prepare(id, bell);
    await member.start();
    return member;
  }

  /** Joins with what it kept. */
  async joinWith(id: string, kept: DeclarationsKept): Promise<TestMember> {
    const member = await this.prepare(id, undefined, kept);
    await member.start();
    return member;
  }

  async close(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.cluster.stop()));
    await this.observer.close();
  }
}

/** A bell that hears nothing. */
export function deaf(bell: Bell): Bell {
  const nothing: BellListener = { onRing: () => undefined, onDemand: () => undefined, onRoutesChanged: () => undefined };
  return {
    listen: (node) => bell.listen(node, nothing),
    ring: bell.ring.bind(bell),
    demand: bell.demand.bind(bell),
    close: bell.close.bind(bell),
  };
}

/** Writes down what the bell rings. */
export function overheard(bell: Bell, rung: Ring[]): Bell {
  return {
    listen: bell.listen.bind(bell),
    ring: (node, ring) => {
      rung.push(ring);
      return bell.ring(node, ring);
    },
    demand: bell.demand.bind(bell),
    close: bell.close.bind(bell),
  };
}

export function instance(id: string, changes: Partial<InstanceInfo> = {}): InstanceInfo {
  return { id, seq: 1_000, concurrency: 10, state: 'ready', active: 0, ...changes };
}
