/** Changes how many replicas Deployments have. Several scalers may do so at the same time: the version of the object decides who was first. */
import { setTimeout as delay } from 'node:timers/promises';
import { unawaited } from '../../boundary.ts';
import { type KubernetesApi, KubernetesError } from './api.ts';
import { type Change, count, type Limits } from './counting.ts';
import { COST, type Deployment, LEFT, listOf, type Pod, readDeployment, readPod } from './objects.ts';

/** Less than a client waits by default. */
const PATIENCE_MS = 25_000;
const PAUSE_MS = { first: 100, most: 2_000 };
const PODS_MAX = 1_000;

interface Waiting {
  readonly change: Change;
  readonly limits: Limits;
  readonly done: PromiseWithResolvers<void>;
}

export class Replicas {
  readonly #api: KubernetesApi;
  readonly #signal: AbortSignal;
  /** By Deployment: what came while its last change was under way is done in one step. */
  readonly #waiting = new Map<string, Waiting[]>();

  constructor(api: KubernetesApi, signal: AbortSignal) {
    this.#api = api;
    this.#signal = signal;
  }

  /** Resolves when it is counted. Rejects with words for people. */
  change(name: string, change: Change, limits: Limits): Promise<void> {
    const one = { change, limits, done: Promise.withResolvers<void>() };
    const waiting = this.#waiting.get(name);
    if (waiting !== undefined) waiting.push(one);
    else {
      this.#waiting.set(name, [one]);
      unawaited('discovery', this.#work(name));
    }
    return one.done.promise;
  }

  /** Those that live, whatever their state. */
  async pods({ name, selector }: Pick<Deployment, 'name' | 'selector'>): Promise<Pod[]> {
    if (selector === '') return [];
    const query = { labelSelector: selector, limit: String(PODS_MAX) };
    const { items } = await this.#api.ask({ verb: 'list', resource: 'pods', query }, this.#signal);
    return listOf(items).flatMap((item) => readPod(item, name) ?? []);
  }

  /** Says at the Pod whether it is the one that goes. False: somebody else has changed it meanwhile, or it is gone. */
  async mark({ name, version, run }: Pod, goes: boolean): Promise<boolean> {
    const annotations = goes ? { [LEFT]: run, [COST]: '-1000' } : { [LEFT]: null, [COST]: null };
    const patch = { metadata: { resourceVersion: version, annotations } };
    try {
      await this.#api.ask({ verb: 'patch', resource: 'pods', name, patch }, this.#signal);
      return true;
    } catch (error) {
      if (error instanceof KubernetesError && (error.status === 409 || error.status === 404)) return false;
      throw error;
    }
  }

  async #work(name: string): Promise<void> {
    for (;;) {
      const waiting = this.#waiting.get(name) ?? [];
      if (waiting.length === 0) break;
      this.#waiting.set(name, []);
      try {
        const refused = await this.#patiently(name, waiting);
        for (const { change, done, limits } of waiting) {
          if (refused.has(change)) done.reject(new Error(`Deployment ${name} has as many replicas as its route may have: ${limits.max}`));
          else done.resolve();
        }
      } catch (error) {
        for (const { done } of waiting) done.reject(error);
      }
    }
    this.#waiting.delete(name);
  }

  async #patiently(name: string, waiting: readonly Waiting[]): Promise<ReadonlySet<Change>> {
    const signal = this.#signal;
    const deadline = performance.now() + PATIENCE_MS;
    for (let pauseMs = PAUSE_MS.first; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS.most)) {
      try {
        return await this.#once(name, waiting);
      } catch (error) {
        if (!(error instanceof KubernetesError) || !error.isPassing || signal.aborted) throw error;
        const waitMs = Math.max(error.retryAfterMs, pauseMs) * (0.75 + Math.random() / 2);
        if (performance.now() + waitMs >= deadline) throw error;
        await delay(waitMs, undefined, { signal });
      }
    }
  }

  async #once(name: string, waiting: readonly Waiting[]): Promise<ReadonlySet<Change>> {
    const resource = 'deployments' as const;
    const deployment = readDeployment(await this.#api.ask({ verb: 'get', resource, name }, this.#signal));
    const limits = waiting.at(-1)?.limits;
    if (deployment === null || limits === undefined) throw new Error(`Deployment ${name} can not be used: it is being deleted`);
    const changes = waiting.map(({ change }) => change);
    let counted = count(deployment, changes, limits, 0);
    if (counted.refused.size > 0) {
      const spare = (await this.pods(deployment)).filter(({ hasLeft, run }) => hasLeft && !deployment.left.includes(run));
      counted = count(deployment, changes, limits, spare.length);
    }
    if (counted.patch !== null) await this.#api.ask({ verb: 'patch', resource, name, patch: counted.patch }, this.#signal);
    return counted.refused;
  }
}
