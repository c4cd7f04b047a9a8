/** What is done to a simulated cluster, and when: the same for the same seed. */
import { Random } from '../../e2e/chaos/random.ts';
import type { Fault } from '../events.ts';
import { servedNames } from '../world/routes.ts';
import type { Owner } from './clock.ts';
import type { ActTimes } from './shapes.ts';
import type { SimulatedWorld } from './world.ts';

const WEIGHTS = {
  'kill a node': 2,
  'restart a node': 3,
  'a node is back at once': 2,
  'end all nodes': 1,
  'freeze a node': 2,
  'a node hears no linker': 2,
  'links of a node break': 3,
  'one way is silent': 2,
  'kill a linker': 3,
  'kill all linkers of a route': 1,
  'drain a linker': 4,
  'freeze a linker': 2,
  'freeze an application': 1,
  'freeze all processes of one kind': 1,
  'suspend the host': 1,
  'a wall clock jumps': 1,
  'a node loses Redis': 2,
  'freeze Redis': 1,
  'Redis is empty': 1,
  'messages are lost': 3,
  'the network is slow': 1,
  'pause a route': 2,
  'restart a route': 1,
  'scale a route': 2,
  'move a limit': 6,
} as const;

type Name = keyof typeof WEIGHTS;

export interface SimulatedAct {
  readonly n: number;
  readonly what: Name;
  readonly atMs: number;
  readonly forMs: number;
  readonly target: number;
  arrange(world: SimulatedWorld): void;
}

/** An operator sets a clock, or NTP does, or a host comes back from a snapshot. */
const JUMP_MS_MAX = 86_400_000;
/** How often it is said that a pause is over, and how far apart. */
const RESUMES = 4;
const RESUMES_AGAIN_MS = 1_500;

export function simulatedActs(seed: number, { from, until, gap, lasts }: ActTimes): SimulatedAct[] {
  const random = new Random(seed + 11);
  const acts: SimulatedAct[] = [];
  for (let atMs = from; atMs < until; atMs += random.between(gap.least, gap.most)) {
    const what = random.weighted<Name>(WEIGHTS);
    const forMs = random.between(lasts.least, lasts.most);
    const act = { n: acts.length, what, atMs, forMs, target: random.next() };
    acts.push({ ...act, arrange: (world) => void world.code.clock.in(atMs, () => new Doing(world, act).begin()) });
  }
  return acts;
}

type Harm = Pick<Fault, 'of' | 'does' | 'undirected' | 'deafens'> & { readonly disturbs?: boolean };

class Doing {
  readonly #world: SimulatedWorld;
  readonly #act: Omit<SimulatedAct, 'arrange'>;

  constructor(world: SimulatedWorld, act: Omit<SimulatedAct, 'arrange'>) {
    this.#world = world;
    this.#act = act;
  }

  begin(): void {
    const { what, target } = this.#act;
    const { nodes, living, sizes } = this.#world;
    if (what === 'end all nodes') for (const node of nodes) this.#oneOfMany(nodes.indexOf(node)).#restart(node);
    else if (what === 'kill all linkers of a route') this.#killLinkers();
    else if (what === 'freeze all processes of one kind' || what === 'suspend the host') this.#freezeMany();
    else if (what === 'a wall clock jumps') this.#jump();
    else if (what === 'pause a route' || what === 'restart a route' || what === 'scale a route')
      this.#onRoute(pick(sizes.routes, target) as (typeof sizes.routes)[number]);
    else if (what.includes('linker') && what !== 'a node hears no linker') this.#onInstance(living);
    else if (what === 'move a limit' || what === 'freeze an application') this.#onInstance(living);
    else if (what === 'one way is silent') this.#oneWay();
    else if (what === 'freeze Redis' || what === 'Redis is empty' || what === 'messages are lost' || what === 'the network is slow')
      this.#onAll();
    else this.#onNode(pick(nodes, target) as (typeof nodes)[number]);
  }

  /** Several processes at once: each has a fault of its own, with a number of its own. */
  #oneOfMany(i: number): Doing {
    return new Doing(this.#world, { ...this.#act, n: this.#act.n + (i + 1) / 1_000 });
  }

  #killLinkers(): void {
    const world = this.#world;
    const names = servedNames(pick(world.sizes.routes, this.#act.target) as (typeof world.sizes.routes)[number]);
    for (const [i, one] of world.living.entries()) {
      if (!names.includes(one.route)) continue;
      this.#oneOfMany(i).#says({ of: `linker:${one.startId}`, does: 'dies' });
      world.kill(one);
    }
  }

  /** A host that is suspended has all of them, and its clocks are late afterwards. */
  #freezeMany(): void {
    const world = this.#world;
    const { clock } = world.code;
    const { what, target, forMs } = this.#act;
    const { nodes, living, redis } = world;
    const kinds: (readonly [Owner, Harm])[][] = [
      nodes.map(({ id, owner }) => [owner, { of: `node:${id}`, does: 'silent' }]),
      living.map(({ startId, linkerOwner }) => [linkerOwner, { of: `linker:${startId}`, does: 'silent' }]),
      living.map(({ appOwner }) => [appOwner, {}]),
    ];
    const isHost = what === 'suspend the host';
    const harmed = isHost ? [[redis, { undirected: '*' }] as const, ...kinds.flat()] : (pick(kinds, target) ?? []);
    for (const [i, [owner, harm]] of harmed.entries()) {
      if (owner.state !== 'runs') continue;
      owner.state = 'frozen';
      if (isHost) owner.wallShiftMs -= forMs;
      this.#oneOfMany(i).#says(harm, () => clock.thaw(owner), forMs);
    }
  }

  /** Nothing may depend on it: it excuses nothing. */
  #jump(): void {
    const { nodes, living, redis } = this.#world;
    const all = [redis, ...nodes.map(({ owner }) => owner), ...living.map(({ linkerOwner }) => linkerOwner)];
    const owner = pick(all, this.#act.target) as Owner;
    owner.wallShiftMs += ((this.#act.forMs * 7_919) % (2 * JUMP_MS_MAX)) - JUMP_MS_MAX;
    this.#says({ disturbs: false });
  }

  #restart(node: SimulatedWorld['nodes'][number]): void {
    const world = this.#world;
    const { clock, network } = world.code;
    const { owner, node: running } = node;
    if (running === null || owner.state !== 'runs') return;
    node.node = null;
    const { n, what } = this.#act;
    world.says({ e: 'fault', n, what, of: `node:${node.id}`, does: 'ends', disturbs: true });
    clock
      .does(owner, () => running.drain(10_000))
      .then(() => {
        network.kill(owner);
        return world.startNode(node);
      })
      .then(() => world.says({ e: 'mended', n }))
      .catch(() => {});
  }

  /** From now on, until `undo` is done after the act's time; without it, it is over at once. */
  #says(harm: Harm, undo?: () => unknown, afterMs = this.#act.forMs): void {
    const { n, what } = this.#act;
    const world = this.#world;
    world.says({ e: 'fault', n, what, ...harm, disturbs: harm.disturbs ?? true });
    const mended = (): void => world.says({ e: 'mended', n });
    if (undo === undefined) mended();
    else world.code.clock.in(afterMs, () => void Promise.resolve(undo()).then(mended));
  }

  #onNode(node: SimulatedWorld['nodes'][number]): void {
    const world = this.#world;
    const { clock, network } = world.code;
    const { owner, way } = node;
    if (owner.state !== 'runs' || node.node === null) return;
    const of = `node:${node.id}`;
    const linkers = (): SimulatedWorld['living'] => world.living;
    switch (this.#act.what) {
      case 'kill a node':
      case 'a node is back at once':
        // On the same port: within 100 ms, or later.
        this.#says({ of, does: 'dies' }, () => world.startNode(node), this.#act.forMs / (this.#act.what === 'kill a node' ? 4 : 45));
        node.node = null;
        network.kill(owner);
        return;
      case 'restart a node':
        this.#restart(node);
        return;
      case 'freeze a node':
        owner.state = 'frozen';
        this.#says({ of, does: 'silent' }, () => clock.thaw(owner));
        return;
      case 'a node hears no linker': {
        const silent = linkers().map(({ linkerOwner }) => linkerOwner);
        for (const linker of silent) {
          network.silence(linker, owner);
          network.silence(owner, linker);
        }
        this.#says({ of, does: 'cut' }, () => {
          for (const linker of silent) {
            network.heal(linker, owner);
            network.heal(owner, linker);
          }
        });
        return;
      }
      case 'links of a node break':
        this.#says({ of, does: 'cut' });
        for (const { linkerOwner } of linkers()) network.cut(linkerOwner, owner);
        return;
      default:
        clock.in(0, () => way.connects(false), owner);
        this.#says({ undirected: node.id }, () => clock.in(0, () => way.connects(true), owner));
    }
  }

  /** From an instance to a node, or back. */
  #oneWay(): void {
    const world = this.#world;
    const { network } = world.code;
    const { living, nodes } = world;
    const instance = pick(living, this.#act.target);
    const node = pick(nodes, (this.#act.target * 7) % 1);
    if (instance === undefined || node === undefined) return;
    const [a, b] = this.#act.forMs % 2 < 1 ? [instance.linkerOwner, node.owner] : [node.owner, instance.linkerOwner];
    network.silence(a, b);
    this.#says({ of: `node:${node.id}`, does: 'cut' }, () => network.heal(a, b));
  }

  #onInstance(living: SimulatedWorld['living']): void {
    const world = this.#world;
    const { clock } = world.code;
    const one = pick(living, this.#act.target);
    if (one === undefined) return;
    const of = `linker:${one.startId}`;
    switch (this.#act.what) {
      case 'kill a linker':
        this.#says({ of, does: 'dies' });
        world.kill(one);
        return;
      case 'drain a linker':
        if (world.drain(one)) this.#says({ of, does: 'ends' });
        return;
      case 'move a limit':
        this.#says({ of, disturbs: false });
        world.moveLimit(one, Math.floor(this.#act.forMs % (world.sizes.concurrency + 2)));
        clock.in(this.#act.forMs, () => world.moveLimit(one, world.sizes.concurrency));
        return;
      default: {
        const isLinker = this.#act.what === 'freeze a linker';
        const owner = isLinker ? one.linkerOwner : one.appOwner;
        if (owner.state !== 'runs') return;
        owner.state = 'frozen';
        this.#says(isLinker ? { of, does: 'silent' } : { of }, () => clock.thaw(owner));
      }
    }
  }

  #onAll(): void {
    const world = this.#world;
    const { network } = world.code;
    switch (this.#act.what) {
      case 'freeze Redis': {
        const { redis } = world;
        if (redis.state !== 'runs') return;
        redis.state = 'frozen';
        this.#says({ undirected: '*' }, () => world.code.clock.thaw(redis));
        return;
      }
      case 'Redis is empty':
        world.code.clock.in(
          0,
          () => {
            this.#says({});
            world.directory.lose();
            for (const route of world.sizes.routes) world.configure(route, route.maxInstances);
          },
          world.redis,
        );
        return;
      case 'messages are lost': {
        const ways = world.nodes.map(({ way }) => way);
        for (const way of ways) way.losesMessages = true;
        this.#says({ disturbs: false, deafens: true }, () => {
          for (const way of ways) way.losesMessages = false;
        });
        return;
      }
      default:
        network.slowMs = 40;
        this.#says({}, () => {
          network.slowMs = 0;
        });
    }
  }

  #onRoute(route: SimulatedWorld['sizes']['routes'][number]): void {
    const world = this.#world;
    const { clock } = world.code;
    const { name, maxInstances } = route;
    const of = `route:${name}`;
    const { directory } = world;
    if (this.#act.what === 'restart a route') {
      this.#says({ of });
      for (const served of servedNames(route)) world.says({ e: 'restarts', route: served });
      void clock.does(world.redis, () => directory.restart(name));
    } else if (this.#act.what === 'scale a route') {
      world.configure(route, Math.max(1, maxInstances - 1));
      this.#says({ of }, () => world.configure(route, maxInstances));
    } else {
      // As the command does it.
      let isOver = false;
      const pause = (world.pauses.get(name) ?? 0) + 1;
      world.pauses.set(name, pause);
      const saysAll = (e: 'paused' | 'resumes'): void => {
        for (const served of servedNames(route)) world.says({ e, route: served });
      };
      const barrier = new world.code.PauseBarrier(directory);
      clock
        .does(world.redis, () => barrier.pause(name, { forMs: 600_000, waitMs: 60_000, tunnels: 'wait' }))
        .then((outcome) => {
          if (!isOver && typeof outcome === 'object' && outcome.still.length === 0) saysAll('paused');
        })
        .catch(() => {});
      this.#says({ of }, () => {
        isOver = true;
        saysAll('resumes');
        void this.#resume(name, pause);
      });
    }
  }

  /**
   * A Redis that is emptied before any node has heard that the pause is over gets the pause back from a node: the operator looks, and says it again. The
   * same where it was empty at this moment, and no pause was there that could end. Not when the route has been paused again since.
   */
  async #resume(route: string, pause: number): Promise<void> {
    const { code, redis, directory, pauses } = this.#world;
    for (let i = 0; i < RESUMES; i++) {
      if (i > 0 && pauses.get(route) !== pause) return;
      await code.clock.does(redis, () => directory.resume(route));
      await new Promise<void>((resolve) => code.clock.in(RESUMES_AGAIN_MS, resolve));
    }
  }
}

function pick<T>(from: readonly T[], target: number): T | undefined {
  return from[Math.floor(target * from.length)];
}
