/** What is done to a simulated cluster, and when: the same for the same seed. */
import { Random } from '../../e2e/chaos/random.ts';
import type { Fault } from '../events.ts';
import type { SimulatedWorld } from './world.ts';

const WEIGHTS = {
  'kill a node': 2,
  'restart a node': 3,
  'freeze a node': 2,
  'a node hears no linker': 2,
  'links of a node break': 3,
  'one way is silent': 2,
  'kill a linker': 3,
  'drain a linker': 4,
  'freeze a linker': 2,
  'freeze an application': 1,
  'a node loses Redis': 2,
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

const SETTLE_MS = 2_500;
const GAP_MS = { least: 50, most: 2_500 };
const LASTS_MS = { least: 50, most: 4_500 };

export function simulatedActs(seed: number, until: number): SimulatedAct[] {
  const random = new Random(seed + 11);
  const acts: SimulatedAct[] = [];
  for (let atMs = SETTLE_MS; atMs < until; atMs += random.between(GAP_MS.least, GAP_MS.most)) {
    const what = random.weighted<Name>(WEIGHTS);
    const forMs = random.between(LASTS_MS.least, LASTS_MS.most);
    const act = { n: acts.length, what, atMs, forMs, target: random.next() };
    acts.push({ ...act, arrange: (world) => void world.code.clock.in(atMs, () => new Doing(world, act).begin()) });
  }
  return acts;
}

type Harm = Pick<Fault, 'of' | 'does' | 'deafens'> & { readonly disturbs?: boolean };

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
    if (what === 'pause a route' || what === 'restart a route' || what === 'scale a route')
      this.#onRoute(pick(sizes.routes, target) as (typeof sizes.routes)[number]);
    else if (what.includes('linker') && what !== 'a node hears no linker') this.#onInstance(living);
    else if (what === 'move a limit' || what === 'freeze an application') this.#onInstance(living);
    else if (what === 'one way is silent') this.#oneWay();
    else if (what === 'Redis is empty' || what === 'messages are lost' || what === 'the network is slow') this.#onAll();
    else this.#onNode(pick(nodes, target) as (typeof nodes)[number]);
  }

  /** From now on, until `undo` is done after the act's time; without it, it is over at once. */
  #says(harm: Harm, undo?: () => void, afterMs = this.#act.forMs): void {
    const { n, what } = this.#act;
    const world = this.#world;
    world.says({ e: 'fault', n, what, ...harm, disturbs: harm.disturbs ?? true });
    const over = (): void => {
      undo?.();
      world.says({ e: 'mended', n });
    };
    if (undo === undefined) over();
    else world.code.clock.in(afterMs, over);
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
        this.#says({ of, does: 'dies' }, () => world.startNode(node), this.#act.forMs / 4);
        node.node = null;
        network.kill(owner);
        return;
      case 'restart a node': {
        const running = node.node;
        node.node = null;
        const { n, what } = this.#act;
        world.says({ e: 'fault', n, what, of, does: 'ends', disturbs: true });
        const drained = clock.does(owner, () => running.drain(10_000));
        drained
          .then(() => {
            network.kill(owner);
            world.startNode(node);
            world.says({ e: 'mended', n });
          })
          .catch(() => {});
        return;
      }
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
        this.#says({}, () => clock.in(0, () => way.connects(true), owner));
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
        this.#says({ of, does: 'ends' });
        world.drain(one);
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
      case 'Redis is empty':
        this.#says({});
        world.directory.lose();
        for (const route of world.sizes.routes) world.configure(route, route.maxInstances);
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
      world.says({ e: 'restarts', route: name });
      void clock.does(world.redis, () => directory.restart(name));
    } else if (this.#act.what === 'scale a route') {
      world.configure(route, Math.max(1, maxInstances - 1));
      this.#says({ of }, () => world.configure(route, maxInstances));
    } else {
      // As the command does it.
      let isOver = false;
      const barrier = new world.code.PauseBarrier(directory);
      clock
        .does(world.redis, () => barrier.pause(name, { forMs: 600_000, waitMs: 60_000, tunnels: 'wait' }))
        .then((outcome) => {
          if (!isOver && typeof outcome === 'object' && outcome.still.length === 0) world.says({ e: 'paused', route: name });
        })
        .catch(() => {});
      this.#says({ of }, () => {
        isOver = true;
        world.says({ e: 'resumes', route: name });
        void clock.does(world.redis, () => directory.resume(name));
      });
    }
  }
}

function pick<T>(from: readonly T[], target: number): T | undefined {
  return from[Math.floor(target * from.length)];
}
