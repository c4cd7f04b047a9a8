/** Does what a schedule says, undoes it, and writes both down as the checker needs it. */
import { spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../support/eventually.ts';
import { MASTER_NAME } from '../../support/redis-processes.ts';
import type { Fault } from '../events.ts';
import { losePackets } from './own-network.ts';
import { servedNames } from './routes.ts';
import type { Act } from './schedule.ts';
import type { Instance, NodePlace, World } from './world.ts';

type Harm = Pick<Fault, 'of' | 'does' | 'undirected' | 'deafens'> & { readonly disturbs?: boolean };

const MINUTE_MS = 60_000;
/** TCP repeats a packet after a time that doubles: what was lost may come as late again, after the fault. */
const REPEATED_MS = 5_000;
/** A snapshot is older than most of what the directory keeps. */
const SNAPSHOT_AGES = 3;
const MANY: ReadonlySet<string> = new Set([
  'end all nodes',
  'restart all nodes one after the other',
  'kill all linkers of a route',
  'freeze all processes of one kind for a minute',
  'suspend the host',
]);
const RESUMES_AGAIN_MS = 2_000;
const JUMP_S_MAX = 86_400;
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
    if (MANY.has(what)) await this.#onMany(act);
    else if (what.includes('packets')) await this.#onNetwork(act);
    else if (what === 'Sentinels fail over') await this.#failOver(act);
    else if (what === 'pause a route' || what === 'restart a route' || what === 'scale a route') await this.#onRoute(act);
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

  /** Several processes at once: each has a fault of its own, with a number of its own. */
  async #onMany(act: Act): Promise<void> {
    const world = this.#world;
    const { nodes, scalers, options } = world;
    const one = (i: number, what = act.what): Act => ({ ...act, what, n: act.n + (i + 1) / 1_000 });
    if (act.what === 'end all nodes') {
      await Promise.all(nodes.map((node, i) => this.#atNode(one(i, 'restart a node'), node)));
    } else if (act.what === 'restart all nodes one after the other') {
      for (const [i, node] of nodes.entries()) await this.#atNode(one(i, 'restart a node'), node);
    } else if (act.what === 'kill all linkers of a route') {
      const { name } = options.routes[Math.floor(act.target * options.routes.length)] as (typeof options.routes)[number];
      const killed = world.instances().filter((instance) => world.serves(instance, name));
      await Promise.all(killed.map((instance, i) => this.#atInstance(one(i, 'kill a linker'), instance)));
    } else {
      const silent = (pid: number | null | undefined, subject: unknown, harm: Harm, i: number): Promise<void> =>
        this.#during(subject, one(i), harm, () => frozen(world, pid ?? null, lasts(act)));
      const instances = world.instances();
      const kinds = [
        () => nodes.map((node, i) => silent(node.child?.pid, node, { of: `node:${node.id}`, does: 'silent' }, 1 + i)),
        () => scalers.map((scaler, i) => silent(scaler?.pid, scaler, {}, 100 + i)),
        () => instances.map(({ startId, linker }, i) => silent(linker, startId, { of: `linker:${startId}`, does: 'silent' }, 200 + i)),
        () => instances.map(({ startId, app }, i) => silent(app, `app ${startId}`, {}, 500 + i)),
      ];
      if (act.what === 'suspend the host')
        await Promise.all([this.#onRedis({ ...one(0), what: 'freeze Redis' }), ...kinds.flatMap((freeze) => freeze())]);
      else await Promise.all((kinds[Math.floor(act.target * kinds.length)] as () => Promise<void>[])());
    }
  }

  /** One direction at a time, in silence. */
  async #onNetwork(act: Act): Promise<void> {
    const { nodes } = this.#world;
    const node = nodes[Math.floor(act.target * nodes.length)] as NodePlace;
    const direction = act.forMs % 2 < 1 ? 'to' : 'from';
    const share = { share: 0.02 + 0.3 * ((act.target * 7) % 1) };
    const cut: Harm = { of: `node:${node.id}`, does: 'cut' };
    const lose = (...args: Parameters<typeof losePackets>) =>
      this.#during(`network of ${node.id}`, act, args[1] === node.redis.port ? { undirected: node.id } : cut, async () => {
        const heal = losePackets(...args);
        await delay(act.forMs).finally(heal);
        await delay(REPEATED_MS);
      });
    switch (act.what) {
      case 'packets to a node are lost':
        return lose('to', node.backend.port, act.forMs % 3 < 1 ? share : 'all');
      case 'packets from a node are lost':
        return lose('from', node.backend.port, act.forMs % 3 < 1 ? share : 'all');
      case 'large packets of a node are lost':
        return lose(direction, node.backend.port, 'large');
      case 'packets from clients to a node are lost':
        return lose('to', node.port, share);
      default:
        return lose(direction, node.redis.port, act.forMs % 3 < 1 ? share : 'all');
    }
  }

  /** A Sentinel is asked to, or the master is silent until they choose another one; the old one is a replica when it is back. */
  async #failOver(act: Act): Promise<void> {
    const { group } = this.#world;
    const [sentinel] = group?.sentinels ?? [];
    if (group === null || sentinel === undefined) return;
    await this.#during(group, act, { undirected: '*' }, async () => {
      const roles = await Promise.all(group.servers.map(({ client }) => client.info('replication').catch(() => '')));
      const master = group.servers[roles.findIndex((role) => role.includes('role:master'))];
      const where = async (): Promise<string> =>
        JSON.stringify(await sentinel.client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME));
      const before = await where();
      const isAsked = act.forMs % 2 < 1;
      if (isAsked) await sentinel.client.call('SENTINEL', 'FAILOVER', MASTER_NAME).catch(() => undefined);
      else master?.signal('SIGSTOP');
      await eventually('the Sentinels have another master', async () => (await where()) !== before, MINUTE_MS).catch(() => undefined);
      await delay(act.forMs / 2);
      if (!isAsked) master?.signal('SIGCONT');
      await this.#world.configure();
    });
  }

  async #onNode(act: Act): Promise<void> {
    const { nodes } = this.#world;
    await this.#atNode(act, nodes[Math.floor(act.target * nodes.length)] as NodePlace);
  }

  async #atNode(act: Act, node: NodePlace): Promise<void> {
    const child = node.child;
    if (child === null) return;
    const of = `node:${node.id}`;
    const does = (harm: Harm['does'], work: () => Promise<unknown>) => this.#during(node, act, { of, does: harm }, work);
    switch (act.what) {
      case 'kill a node':
      case 'a node is back at once':
      case 'restart a node': {
        const isKill = act.what !== 'restart a node';
        return does(isKill ? 'dies' : 'ends', async () => {
          await this.#world.end(child, isKill ? 'SIGKILL' : 'SIGTERM');
          // On the same port. A process takes longer than that to listen; the simulation has nodes that are back within 100 ms.
          if (act.what !== 'a node is back at once') await delay(act.forMs / 4);
          await this.#world.startNode(node);
        });
      }
      case 'freeze a node':
      case 'freeze a node for a minute':
        return does('silent', async () => {
          child.kill('SIGSTOP');
          await delay(lasts(act));
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
      case 'the clock of a node jumps':
        // Nothing may depend on it: it excuses nothing.
        return this.#during(`clock of ${node.id}`, act, { disturbs: false }, async () => {
          this.#world.setClock(node.id, Math.round((act.target - 0.5) * 2 * JUMP_S_MAX));
          await delay(act.forMs);
          this.#world.setClock(node.id, 0);
        });
      case 'a node has no file descriptors':
        return does('cut', async () => {
          setFiles(child.pid, 24);
          await delay(act.forMs);
          setFiles(child.pid, 4_096);
        });
      default:
        return this.#during(node, act, { undirected: node.id }, async () => {
          node.redis.silence();
          await delay(act.forMs);
          node.redis.heal();
        });
    }
  }

  async #onInstance(act: Act): Promise<void> {
    const instances = this.#world.instances();
    const instance = instances[Math.floor(act.target * instances.length)] as Instance | undefined;
    if (instance !== undefined) await this.#atInstance(act, instance);
  }

  async #atInstance(act: Act, { startId, linker, app }: Instance): Promise<void> {
    const world = this.#world;
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
        const isLinker = act.what.startsWith('freeze a linker');
        // An application that is frozen keeps its requests: it is a slow one.
        return does(isLinker ? { does: 'silent' } : {}, () => frozen(world, isLinker ? linker : app, lasts(act)));
      }
    }
  }

  async #onScaler(act: Act): Promise<void> {
    const { scalers } = this.#world;
    const i = Math.floor(act.target * scalers.length);
    const child = scalers[i];
    if (child === null || child === undefined) return;
    await this.#during(child, act, {}, async () => {
      if (act.what.startsWith('freeze')) return frozen(this.#world, child.pid ?? null, lasts(act));
      await this.#world.end(child, act.what === 'kill a scaler' ? 'SIGKILL' : 'SIGTERM');
      await delay(act.forMs / 2);
      await this.#world.startScaler(i);
    });
  }

  async #onRedis(act: Act): Promise<void> {
    const world = this.#world;
    const { redis, scalerRedis, nodes } = world;
    if (redis === null) return;
    const paths = [scalerRedis, ...nodes.map((node) => node.redis)];
    const does = (work: () => Promise<unknown>) => this.#during(redis, act, { undirected: '*' }, work);
    switch (act.what) {
      case 'freeze Redis':
      case 'freeze Redis for a minute':
        return does(async () => {
          await redis.pause();
          await delay(lasts(act));
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
      case 'Redis has an old snapshot':
        return does(async () => {
          await world.redisCommand('CONFIG', 'SET', 'dbfilename', `history-${redis.port}.rdb`);
          await world.redisCommand('SAVE');
          await delay(SNAPSHOT_AGES * act.forMs);
          for (const path of paths) path.cut();
          await world.redisCommand('DEBUG', 'RELOAD', 'NOSAVE');
          await world.configure();
        });
      case 'the clock of Redis jumps':
        return does(async () => {
          world.setClock('redis', Math.round((act.target - 0.5) * 2 * JUMP_S_MAX));
          await delay(act.forMs);
          world.setClock('redis', 0);
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
    const redis = ['--redis', world.redisUrl];
    await this.#during(name, act, { of: `route:${name}` }, async () => {
      if (act.what === 'restart a route') {
        for (const served of servedNames(route)) operator.add({ e: 'restarts', route: served });
        await world.command(['route', 'restart', name, ...redis]);
      } else if (act.what === 'scale a route') {
        await world.configureRoute(route, Math.max(1, maxInstances - 1));
        await delay(act.forMs);
        await world.configureRoute(route, maxInstances);
      } else {
        const code = await world.command(['route', 'pause', name, '--wait', '20s', ...redis]);
        if (code === 0) for (const served of servedNames(route)) operator.add({ e: 'paused', route: served });
        await delay(act.forMs / 4);
        for (const served of servedNames(route)) operator.add({ e: 'resumes', route: served });
        await world.command(['route', 'resume', name, ...redis]);
        // A Redis that was emptied meanwhile got the pause back from a node that had not heard of its end.
        await delay(RESUMES_AGAIN_MS);
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

function lasts({ what, forMs }: Act): number {
  return what.endsWith('for a minute') ? MINUTE_MS : forMs;
}

async function frozen(world: World, pid: number | null, ms: number): Promise<void> {
  world.signal(pid, 'SIGSTOP');
  await delay(ms);
  world.signal(pid, 'SIGCONT');
}

function setFiles(pid: number | undefined, most: number): void {
  spawnSync('prlimit', ['--pid', String(pid), `--nofile=${most}:65536`]);
}
