/** Takes Pods off whose linkers have left: each is marked as the one that goes, and its Deployment gets one replica less. */
import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf } from '../../errors.ts';
import type { Problem } from '../source.ts';
import type { Limits } from './counting.ts';
import type { Deployment } from './objects.ts';
import type { Replicas } from './replicas.ts';

/** As long as there are Pods that are not ready. */
const LOOK_MS = 5_000;
const GATHER_MS = 200;
/** Kubernetes would take a Pod that starts sooner than one that has left: what has left stays until then, but not for ever. */
const STARTS_MS = 60_000;

export interface LeaversOptions {
  readonly replicas: Replicas;
  /** Route → its Deployment, as it was seen last. */
  readonly places: () => ReadonlyMap<string, Deployment>;
  readonly limits: (route: string) => Promise<Limits>;
  readonly problems: (problems: readonly Problem[]) => void;
  readonly signal: AbortSignal;
}

export class Leavers {
  readonly #options: LeaversOptions;
  #rung = Promise.withResolvers<void>();

  constructor(options: LeaversOptions) {
    this.#options = options;
  }

  /** Something has changed. */
  ring(): void {
    this.#rung.resolve();
  }

  /** Until the signal. Never rejects. */
  async follow(): Promise<void> {
    const { signal, places, problems } = this.#options;
    while (!signal.aborted) {
      this.#rung = Promise.withResolvers();
      try {
        for (const [route, deployment] of places()) if (deployment.ready < deployment.replicas) await this.#look(route, deployment);
        problems([]);
      } catch (error) {
        if (signal.aborted) return;
        // The next ones would fail alike: the API is away, or a right is missing.
        problems([{ route: null, text: `Pods whose linkers have left can not be taken off: ${reasonOf(error)}` }]);
      }
      const waited = new AbortController();
      const until = AbortSignal.any([signal, waited.signal]);
      await Promise.race([this.#rung.promise, delay(LOOK_MS, undefined, { signal: until, ref: false }).catch(() => undefined)]);
      waited.abort();
      await delay(GATHER_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #look(route: string, deployment: Deployment): Promise<void> {
    const { replicas, limits } = this.#options;
    const pods = await replicas.pods(deployment);
    const now = Date.now();
    for (const pod of pods) if (pod.marked !== null && !pod.hasLeft) await replicas.mark(pod, false);
    if (pods.some(({ isReady, hasLeft, createdAt }) => !isReady && !hasLeft && now - createdAt < STARTS_MS)) return;
    for (const pod of pods) {
      if (!pod.hasLeft) continue;
      if (pod.marked !== pod.run && !(await replicas.mark(pod, true))) continue;
      await replicas.change(deployment.name, { kind: 'left', id: pod.run }, await limits(route));
    }
  }
}
