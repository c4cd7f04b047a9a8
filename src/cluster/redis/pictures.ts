/** Pictures of the directory for people: nodes, and all routes with their part at each node. */
import type { RouteRecord } from '../../config/route-settings.ts';
import { reasonOf } from '../../errors.ts';
import type { ClusterSnapshot, NodeSnapshot, RouteSnapshot } from '../cluster.ts';
import { overloadOf } from '../overloads.ts';
import { pausedRoute } from '../pauses.ts';
import { nodeIdOf } from '../values.ts';
import { estimated } from '../wait-estimate.ts';
import { readAgents } from './agents.ts';
import { isDataFault, type RedisConnection } from './connection.ts';
import { agentsKey, nodeKey, nodesKey, routeKeys } from './keys.ts';
import type { Mending } from './mending.ts';
import type { MissingNodes } from './missing-nodes.ts';
import type { PausedRoutes } from './paused-routes.ts';
import { list, NODE_FIELDS, readNode, readRoute, tuples } from './replies.ts';
import { readPace } from './wait-log.ts';

interface PicturesContext {
  readonly redis: RedisConnection;
  readonly mending: Mending;
  readonly missing: MissingNodes;
  readonly paused: PausedRoutes;
  /** The settings of routes. */
  routes(): Promise<ReadonlyMap<string, RouteRecord>>;
  routesOf(node: string): Promise<readonly string[]>;
}

export class Pictures {
  readonly #context: PicturesContext;

  constructor(context: PicturesContext) {
    this.#context = context;
  }

  async snapshot(): Promise<ClusterSnapshot> {
    const [configured, nodes, aside, missing, paused] = await Promise.all([
      this.#context.routes(),
      this.nodes(),
      this.#context.mending.notes(),
      this.#context.missing.read(),
      this.#context.paused.read(),
    ]);
    const entered = await Promise.all(nodes.map(({ id }) => this.#context.routesOf(id)));
    const names = new Set([...configured.keys(), ...entered.flat(), ...paused.pauses.keys()]);
    const routes = await Promise.all(
      [...names].sort().map((name) => {
        const said = {
          settings: configured.get(name) ?? null,
          paused: pausedRoute(name, paused, nodes),
          overload: overloadOf(name, nodes),
        };
        return this.#readRoute(name, said);
      }),
    );
    return {
      nodes: nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
      routes: routes.flatMap((route) => route ?? []),
      aside,
      missing: missing.filter(({ id }) => !nodes.some((node) => node.id === id)),
    };
  }

  /** Those that beat. */
  async nodes(): Promise<readonly NodeSnapshot[]> {
    const { redis, mending } = this.#context;
    const beats = await mending.ofKey(nodesKey, 'zset', () => redis.run('nodes', [nodesKey], []));
    return Promise.all(
      tuples(beats, 2).flatMap(([node, ageMs]) => {
        const id = nodeIdOf(node);
        if (id === null) redis.leftOut.note(nodesKey, node);
        return id === null ? [] : [this.node(id, Number(ageMs))];
      }),
    );
  }

  async node(id: string, ageMs: number): Promise<NodeSnapshot> {
    const { redis, mending } = this.#context;
    return readNode(id, ageMs, await mending.ofKey(nodeKey(id), 'hash', () => redis.run('node', [nodeKey(id)], NODE_FIELDS)));
  }

  /** Null: the route can't be read, and could not be mended. Other routes are shown nevertheless. */
  async #readRoute(name: string, said: Parameters<typeof readRoute>[2]): Promise<RouteSnapshot | null> {
    const { redis, mending } = this.#context;
    try {
      const [keys, agents] = [routeKeys(name), agentsKey(name)];
      const read = (): Promise<unknown> => mending.ofRoute(name, () => redis.run('snapshot', [...keys, agents], []));
      const answer = await mending.ofKey(agents, 'hash', read);
      const [pace, linked] = list(answer).slice(7);
      return estimated({ ...readRoute(name, answer, said), ...readPace(pace), ...readAgents(linked) });
    } catch (error) {
      if (!isDataFault(error)) throw error;
      redis.leftOut.note(`pp:{${name}}`, reasonOf(error));
      return null;
    }
  }
}
