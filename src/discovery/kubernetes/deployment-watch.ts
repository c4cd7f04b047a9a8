/**
 * The Deployments of a namespace that say something of pullproxy: listed once, then followed by a watch that goes on where the last one ended. After
 * any trouble they are listed again.
 */
import { guard } from '../../boundary.ts';
import { type Fields, fieldsOf } from '../fields.ts';
import { pauseAfter } from '../pause.ts';
import { type KubernetesApi, KubernetesError } from './api.ts';
import { type Deployment, readDeployment } from './objects.ts';

/** Deployments that declare something; further ones are left out. */
export const DEPLOYMENTS_MAX = 1_000;
const PAGE_SIZE = 100;
const PAGES_MAX = 200;
/** Watches that end sooner than this one after the other are no progress. */
const SHORT_MS = 5_000;
/** Several events at once are told once. */
const GATHER_MS = 50;

export interface WatchEvents {
  /** All that there are now. `leftOut`: there are more. */
  seen(deployments: ReadonlyMap<string, Deployment>, leftOut: number): void;
  away(reason: string): void;
}

export class DeploymentWatch {
  readonly #api: KubernetesApi;
  readonly #events: WatchEvents;
  readonly #signal: AbortSignal;
  readonly #found = new Map<string, Deployment>();
  #leftOut = 0;
  /** From where a watch goes on; null: they are listed first. */
  #version: string | null = null;
  #telling: NodeJS.Timeout | null = null;

  constructor(api: KubernetesApi, events: WatchEvents, signal: AbortSignal) {
    this.#api = api;
    this.#events = events;
    this.#signal = signal;
  }

  /** Until the signal. Never rejects. */
  async follow(): Promise<void> {
    const signal = this.#signal;
    for (let failures = 0; !signal.aborted; ) {
      const beganAt = performance.now();
      let retryAfterMs = 0;
      try {
        if (this.#version === null) await this.#list();
        await this.#watch(this.#version ?? '');
      } catch (error) {
        if (signal.aborted) break;
        this.#version = null;
        if (!(error instanceof KubernetesError)) throw error;
        retryAfterMs = error.retryAfterMs;
        // Only the place is lost from where to go on.
        if (!error.isGone) this.#events.away(error.message);
      }
      failures = performance.now() - beganAt > SHORT_MS ? 0 : failures + 1;
      await pauseAfter(failures, retryAfterMs, signal);
    }
    if (this.#telling !== null) clearTimeout(this.#telling);
  }

  async #list(): Promise<void> {
    const found = new Map<string, Deployment>();
    let leftOut = 0;
    let next = '';
    let version: string | null = null;
    for (let pages = 1; ; pages++) {
      const query = { limit: String(PAGE_SIZE), ...(next === '' ? {} : { continue: next }) };
      const { items, metadata } = await this.#api.ask({ verb: 'list', resource: 'deployments', query }, this.#signal);
      if (!Array.isArray(items))
        throw new KubernetesError('the API of Kubernetes has answered with something that is no list of Deployments');
      for (const item of items) {
        const deployment = declaring(item);
        if (deployment === null) continue;
        if (found.size < DEPLOYMENTS_MAX) found.set(deployment.name, deployment);
        else leftOut++;
      }
      const { resourceVersion, continue: more } = fieldsOf(metadata);
      version = typeof resourceVersion === 'string' ? resourceVersion : null;
      next = typeof more === 'string' ? more : '';
      if (next === '') break;
      if (pages === PAGES_MAX) throw new KubernetesError(`there are more than ${PAGE_SIZE * PAGES_MAX} Deployments in the namespace`);
    }
    if (version === null || version === '')
      throw new KubernetesError('the API of Kubernetes has told no version of its list of Deployments');
    this.#found.clear();
    for (const [name, deployment] of found) this.#found.set(name, deployment);
    this.#leftOut = leftOut;
    this.#version = version;
    this.#tell();
  }

  async #watch(version: string): Promise<void> {
    // An error of ours is one event that is dropped.
    const heard = guard('discovery', (event: Fields) => this.#heard(event));
    const take = (event: Fields): void => {
      heard(event);
      if (event.type !== 'ERROR') return;
      const { code, message } = fieldsOf(event.object);
      throw new KubernetesError(`the API of Kubernetes has ended the watch: ${String(message).slice(0, 300)}`, Number(code) || 0);
    };
    await this.#api.watch({ verb: 'watch', resource: 'deployments', query: { resourceVersion: version } }, take, this.#signal);
  }

  #heard({ type, object }: Fields): void {
    if (type === 'ERROR') return;
    const { name, resourceVersion } = fieldsOf(fieldsOf(object).metadata);
    if (typeof resourceVersion === 'string' && resourceVersion !== '') this.#version = resourceVersion;
    if (type === 'BOOKMARK' || typeof name !== 'string') return;
    const before = this.#found.get(name);
    const now = type === 'DELETED' ? null : declaring(object);
    if (now === null) this.#found.delete(name);
    else if (before !== undefined || this.#found.size < DEPLOYMENTS_MAX) this.#found.set(name, now);
    else this.#leftOut++;
    if (before === undefined && now === null) return;
    if (this.#telling !== null) return;
    const tell = guard('timer', () => this.#tell());
    this.#telling = setTimeout(tell, GATHER_MS);
  }

  #tell(): void {
    if (this.#telling !== null) clearTimeout(this.#telling);
    this.#telling = null;
    if (!this.#signal.aborted) this.#events.seen(this.#found, this.#leftOut);
  }
}

/** Null: it says nothing of pullproxy. */
function declaring(object: unknown): Deployment | null {
  const deployment = readDeployment(object);
  return deployment !== null && (deployment.settings === null || deployment.settings.route !== undefined) ? deployment : null;
}
