/**
 * Deployments whose annotations declare routes: a start is one replica more, and the Pod of an instance that has left is taken off. The linkers are in
 * the Pods, so that any number of scalers can do this side by side.
 */
import { unawaited } from '../../boundary.ts';
import type { StartDirectory } from '../../cluster/directory.ts';
import type { KubernetesPlace } from '../../config/kubernetes-api.ts';
import { parseRouteSettings, type RouteSettings } from '../../config/route-settings.ts';
import { ConfigError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { fieldsOf } from '../fields.ts';
import { pauseAfter } from '../pause.ts';
import { Problems } from '../problems.ts';
import { RouteKeeper } from '../route-keeper.ts';
import { KubernetesApi, KubernetesError } from './api.ts';
import type { Change, Limits } from './counting.ts';
import { declarationsOf } from './declared.ts';
import { DEPLOYMENTS_MAX, DeploymentWatch } from './deployment-watch.ts';
import { Leavers } from './leavers.ts';
import type { Deployment } from './objects.ts';
import { Replicas } from './replicas.ts';

export interface KubernetesStarterOptions {
  readonly place: KubernetesPlace;
  readonly directory: Pick<StartDirectory, 'routes' | 'route' | 'setRoute'>;
  readonly log: Log;
  readonly goneMs?: number;
}

export class KubernetesStarter {
  readonly #options: KubernetesStarterOptions;
  readonly #api: KubernetesApi;
  readonly #stopping = new AbortController();
  readonly #problems: Problems;
  readonly #keeper: RouteKeeper;
  readonly #replicas: Replicas;
  readonly #leavers: Leavers;
  #source = '';
  #places: ReadonlyMap<string, Deployment> = new Map();
  #away: string | null = null;
  #following: Promise<unknown> = Promise.resolve();

  constructor(options: KubernetesStarterOptions) {
    const { place, directory, log, goneMs } = options;
    const { signal } = this.#stopping;
    this.#options = options;
    this.#api = new KubernetesApi(place);
    this.#problems = new Problems(log);
    const problems = this.#problems.of('directory');
    this.#keeper = new RouteKeeper({ directory, log, problems, ...(goneMs === undefined ? {} : { goneMs }) });
    this.#replicas = new Replicas(this.#api, signal);
    this.#leavers = new Leavers({
      replicas: this.#replicas,
      places: () => this.#places,
      limits: (route) => this.#limitsOf(route),
      problems: this.#problems.of('pods'),
      signal,
    });
  }

  begin(): void {
    this.#following = Promise.all([this.#follow(), this.#leavers.follow()]);
    unawaited('discovery', this.#following);
  }

  /** The same one for all scalers of this namespace; empty until the API has answered. */
  get source(): string {
    return this.#source;
  }

  has(route: string): boolean {
    return this.#places.has(route);
  }

  /** Resolves when its Pod is ordered: its linker tells the rest. */
  start(startId: string, route: string): Promise<void> {
    return this.#change(route, { kind: 'start', id: startId });
  }

  /** Nothing has come of that start. Its Pod is not there yet, or not ready, and such Pods go first. */
  async cancel(startId: string, route: string): Promise<void> {
    if (this.has(route)) await this.#change(route, { kind: 'cancel', id: startId });
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    this.#problems.close();
    await this.#keeper.close();
    await this.#following;
  }

  async #change(route: string, change: Change): Promise<void> {
    const deployment = this.#places.get(route);
    if (deployment === undefined) throw new Error(`no Deployment in the namespace ${this.#api.namespace} declares ${route}`);
    await this.#replicas.change(deployment.name, change, await this.#limitsOf(route));
  }

  async #follow(): Promise<void> {
    await this.#learn();
    const watch = new DeploymentWatch(
      this.#api,
      { seen: (deployments, leftOut) => this.#seen(deployments, leftOut), away: (reason) => this.#isAway(reason) },
      this.#stopping.signal,
    );
    await watch.follow();
  }

  /** Namespaces of two clusters may have one name, and their scalers one Redis. */
  async #learn(): Promise<void> {
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; failures++) {
      let retryAfterMs = 0;
      try {
        const { metadata } = await this.#api.ask({ verb: 'get', resource: 'namespaces' }, signal);
        const { uid } = fieldsOf(metadata);
        if (typeof uid !== 'string' || !/^[\w-]{8,64}$/.test(uid))
          throw new KubernetesError('the API of Kubernetes has told no id of the namespace');
        this.#source = `kubernetes@${this.#api.namespace}-${uid.slice(0, 8).toLowerCase()}`;
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof KubernetesError)) throw error;
        this.#isAway(error.message);
        retryAfterMs = error.retryAfterMs;
      }
      await pauseAfter(failures, retryAfterMs, signal);
    }
  }

  #seen(deployments: ReadonlyMap<string, Deployment>, leftOut: number): void {
    const source = this.#source;
    if (this.#away !== null) this.#options.log.info({ source }, 'the source of routes answers again');
    this.#away = null;
    const { routes, places, problems } = declarationsOf(deployments.values(), source);
    const more = leftOut === 0 ? [] : [{ route: null, text: `${leftOut} Deployments are left out: at most ${DEPLOYMENTS_MAX} are used` }];
    this.#problems.of('labels')([...problems, ...more]);
    this.#places = places;
    this.#keeper.declare(source, routes);
    this.#leavers.ring();
  }

  #isAway(reason: string): void {
    if (this.#away === reason) return;
    this.#away = reason;
    this.#options.log.warn({ reason }, 'the source of routes does not answer: what runs is served, and nothing can be started or stopped');
  }

  /** An operator's own settings count, if the route is an operator's. */
  async #limitsOf(route: string): Promise<Limits> {
    const { minInstances, maxInstances, source } = settingsOf((await this.#options.directory.route(route)) ?? {});
    // Where nothing else says how many there may be, one more takes the place of an old one in a restart.
    return { min: minInstances, max: source === undefined ? maxInstances + 1 : maxInstances };
  }
}

function settingsOf(record: Parameters<typeof parseRouteSettings>[0]): RouteSettings {
  try {
    return parseRouteSettings(record);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return parseRouteSettings({});
  }
}
