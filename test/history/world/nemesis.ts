/** Does what a schedule says, undoes it, and writes both down as the checker needs it. */
import { spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { Fault } from '../events.ts';
import type { Act } from './schedule.ts';
import type { Instance, NodePlace, World } from './world.ts';

type Harm = Pick<Fault, 'of' | 'does' | 'deafens'> & { readonly disturbs?: boolean };

const MINUTE_MS = 60_000;
const SECRETS = ['first-secret-of-this-history', 'second-secret-of-this-history'];

export class Nemesis {
  readonly #world: World;
  /** Processes that something is done to now: nothing else is done to them, or one would undo the other. */
  readonly #busy = new Set<unknown>();
  #secret = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Resolves when all of it is done and undone. */
  async run(acts: readonly Act[]): Promise<void> {
    const began = performance.now();
    await Promise.all(
      acts.map(async (act) => {
        await delay(Math.max(0, act.atMs - (performance.now() - began)));
        await this.#act(act);
      }),
    );
  }

  async #act(act: Act): Promise<void> {
    const { what } = act;
    if (what === 'pause a route' || what === 'restart a route' || what === 'scale a route') await this.#onRoute(act);
    else if (what === 'rotate secrets') await this.#rotate(act);
    else if (what.includes('node')) await this.#onNode(act);
    else if (what.includes('scaler')) await this.#onScaler(act);
    else if (what.includes('Redis')) await this.#onRedis(act);
    else await this.#onInstance(act);
  }

  /** Nothing is done while another act is at `subject`. */
  async #during(subject: unknown, { n, what }: Act, harm: Harm, work: () => Promise<unknown>): Promise<void> {
    if (this.#busy.has(subject)) return;
    this.#busy.add(subject);
    const { operator } = this.#world.options;
    operator.add({ e: 'fault', n, what, ...harm, disturbs: harm.disturbs ?? true });
    try {
      await work();
    } finally {
      this.#busy.delete(subject);
      operator.add({ e: 'mended', n });
    }
  }

  async #onNode(act: Act): Promise<void> {
    const { nodes } = this.#world;
    const node = nodes[Math.floor(act.target * nodes.length)] as NodePlace;
    const child = node.child;
    if (child === null) return;
    const of = `node:${node.id}`;
    const does = (harm: Harm['does'], work: () => Promise<unknown>) => this.#during(node, act, { of, does: harm }, work);
    switch (act.what) {
      case 'kill a node':
      case 'restart a node': {
        const isKill = act.what === 'kill a node';
        return does(isKill ? 'dies' : 'ends', async () => {
          await this.#world.end(child, isKill ? 'SIGKILL' : 'SIGTERM');
          await delay(act.forMs / 4);
          await this.#world.startNode(node);
        });
      }
      case 'freeze a node':
      case 'freeze a node for a minute':
        return does('silent', async () => {
          child.kill('SIGSTOP');
          await delay(act.what === 'freeze a node' ? act.forMs : MINUTE_MS);
          child.kill('SIGCONT');
        });
      case 'a node hears no linker':
        return does('cut', async () => {
          node.backend.silence();
          await delay(act.forMs);
          node.backend.heal();
        });
      case 'links of a node break':
        return does('cut', async () => node.backend.cut());
      case 'a node has no file descriptors':
        return does('cut', async () => {
          setFiles(child.pid, 24);
          await delay(act.forMs);
          setFiles(child.pid, 4_096);
        });
      default:
        return this.#during(node, act, {}, async () => {
          node.redis.silence();
          await delay(act.forMs);
          node.redis.heal();
        });
    }
  }

  async #onInstance(act: Act): Promise<void> {
    const world = this.#world;
    const instances = world.instances();
    const instance = instances[Math.floor(act.target * instances.length)] as Instance | undefined;
    if (instance === undefined) return;
    const { startId, linker, app } = instance;
    const does = (harm: Harm, work: () => Promise<unknown>) => this.#during(startId, act, { of: `linker:${startId}`, ...harm }, work);
    switch (act.what) {
      case 'kill a linker':
        return does({ does: 'dies' }, async () => {
          // As when a container dies: both go.
          world.signal(linker, 'SIGKILL');
          world.signal(app, 'SIGKILL');
        });
      case 'kill an application':
        return does({ does: 'dies' }, async () => world.signal(app, 'SIGKILL'));
      case 'drain a linker':
        return does({ does: 'ends' }, async () => world.signal(linker, 'SIGTERM'));
      case 'move a limit':
        return does({ disturbs: false }, async () => world.signal(app, 'SIGUSR2'));
      default: {
        const pid = act.what === 'freeze a linker' ? linker : app;
        // An application that is frozen keeps its requests: it is a slow one.
        const harm: Harm = act.what === 'freeze a linker' ? { does: 'silent' } : {};
        return does(harm, async () => {
          world.signal(pid, 'SIGSTOP');
          await delay(act.forMs);
          world.signal(pid, 'SIGCONT');
        });
      }
    }
  }

  async #onScaler(act: Act): Promise<void> {
    const { scalers } = this.#world;
    const i = Math.floor(act.target * scalers.length);
    const child = scalers[i];
    if (child === null || child === undefined) return;
    await this.#during(child, act, {}, async () => {
      await this.#world.end(child, act.what === 'kill a scaler' ? 'SIGKILL' : 'SIGTERM');
      await delay(act.forMs / 2);
      await this.#world.startScaler(i);
    });
  }

  async #onRedis(act: Act): Promise<void> {
    const world = this.#world;
    const { redis, scalerRedis, nodes } = world;
    const paths = [scalerRedis, ...nodes.map((node) => node.redis)];
    const does = (work: () => Promise<unknown>) => this.#during(redis, act, {}, work);
    switch (act.what) {
      case 'freeze Redis':
        return does(async () => {
          await redis.pause();
          await delay(act.forMs);
          await redis.resume();
        });
      case 'empty Redis':
        return does(async () => {
          await world.redisCommand('FLUSHALL');
          await world.configure();
        });
      case 'restart Redis empty':
        return does(async () => {
          await redis.kill();
          await delay(act.forMs / 4);
          await redis.restart();
          await world.configure();
        });
      case 'connections to Redis break':
        return does(async () => {
          for (const path of paths) path.cut();
        });
      case 'slow Redis':
        return does(async () => {
          for (const path of paths) path.delayMs = 50;
          await delay(act.forMs);
          for (const path of paths) path.delayMs = 0;
        });
      case 'full Redis':
        return does(async () => {
          await world.redisCommand('CONFIG', 'SET', 'maxmemory', '1');
          await delay(act.forMs);
          await world.redisCommand('CONFIG', 'SET', 'maxmemory', '0');
        });
      case 'messages of Redis are lost':
        // A bound of time holds for that: each beat's reply says who waits.
        return this.#during(redis, act, { disturbs: false, deafens: true }, async () => {
          for (const path of paths) path.losesMessages = true;
          await delay(act.forMs);
          for (const path of paths) path.losesMessages = false;
        });
      default:
        return does(() => world.redisCommand('SCRIPT', 'FLUSH'));
    }
  }

  async #onRoute(act: Act): Promise<void> {
    const world = this.#world;
    const { routes, operator } = world.options;
    const route = routes[Math.floor(act.target * routes.length)] as (typeof routes)[number];
    const { name, maxInstances } = route;
    const redis = ['--redis', world.redis.url];
    await this.#during(name, act, { of: `route:${name}` }, async () => {
      if (act.what === 'restart a route') {
        operator.add({ e: 'restarts', route: name });
        await world.command(['route', 'restart', name, ...redis]);
      } else if (act.what === 'scale a route') {
        await world.configureRoute(route, Math.max(1, maxInstances - 1));
        await delay(act.forMs);
        await world.configureRoute(route, maxInstances);
      } else {
        const code = await world.command(['route', 'pause', name, '--wait', '20s', ...redis]);
        if (code === 0) operator.add({ e: 'paused', route: name });
        await delay(act.forMs / 4);
        operator.add({ e: 'resumes', route: name });
        await world.command(['route', 'resume', name, ...redis]);
      }
    });
  }

  /** The new secret first beside the old one, and alone when all know it. */
  async #rotate(act: Act): Promise<void> {
    await this.#during('secrets', act, {}, async () => {
      const [old = '', next = ''] = [SECRETS[this.#secret % 2], SECRETS[(this.#secret + 1) % 2]];
      this.#world.keepSecrets(old, next);
      await delay(act.forMs);
      this.#world.keepSecrets(next, old);
      this.#secret++;
    });
  }
}

function setFiles(pid: number | undefined, most: number): void {
  spawnSync('prlimit', ['--pid', String(pid), `--nofile=${most}:65536`]);
}
