/** The instances of one application: each is a linker in this process, with the application as its child. */
import { setTimeout as delay } from 'node:timers/promises';
import { unawaited } from '../../boundary.ts';
import { inheritedEnvironment } from '../../config/environment.ts';
import type { HostPort } from '../../config/host-port.ts';
import { readVersion } from '../../config/version.ts';
import type { AskedLimit } from '../../linker/asked-limit.ts';
import { Control } from '../../linker/control.ts';
import { Linker } from '../../linker/linker.ts';
import type { LinkerOptions, LinkerTimes } from '../../linker/linker-options.ts';
import type { Log } from '../../log.ts';
import type { JobChange, StartupJobs } from '../../scaling/startup-job.ts';
import { LocalStarts } from './local-starts.ts';

export interface LocalOptions {
  readonly proxy: HostPort;
  readonly route: string;
  readonly asked: AskedLimit;
  readonly secret: string;
  readonly command: readonly string[];
  readonly proxyProtocol: LinkerOptions['proxyProtocol'];
  readonly times: Partial<LinkerTimes>;
  /** The application can't be run, and why. */
  readonly impossible: NonNullable<LinkerOptions['impossible']>;
  readonly log: Log;
}

/** How long to wait for instances that end at once; by then their applications are killed. */
const AT_ONCE_MS = 1_000;

export class LocalInstances {
  readonly #options: LocalOptions;
  readonly #running = new Map<Linker, Promise<number>>();
  readonly #results = { ok: 0, failed: 0 };
  readonly #starts = new LocalStarts();

  constructor(options: LocalOptions) {
    this.#options = options;
  }

  /** Starts one instance; resolves when it serves, rejects when its application ended before. */
  start(startId: string): Promise<void> {
    return this.#starts.watch(this.#options.route, startId, () => this.#start(startId));
  }

  async #start(startId: string): Promise<void> {
    const { proxy, times, log, asked, ...same } = this.#options;
    const own = log.child({ startId });
    // The 'ready' of a linker would be one too many: this process logs its own.
    own.level = log.isLevelEnabled('debug') ? log.level : 'warn';
    const env = inheritedEnvironment();
    const version = readVersion();
    const control = await Control.openOwn(own);
    const linker = new Linker({ ...times, ...same, ...asked, proxies: [proxy], control, env, startId, version, log: own });
    const over = linker.run().finally(() => this.#running.delete(linker));
    this.#running.set(linker, over);
    const said = over.then((code) => log.info({ route: same.route, instance: linker.instance, code }, 'instance has left'));
    unawaited('application', said);
    await linker.ready.catch((error: unknown) => {
      this.#results.failed++;
      throw error;
    });
    this.#results.ok++;
    log.info({ route: same.route, instance: linker.instance }, 'instance serves');
  }

  /** The last starts, for people. */
  jobs(max: number): StartupJobs {
    return this.#starts.jobs(max);
  }

  /** A start that has ended is forgotten; with `retry`, `again` is to start another instance. */
  changeJob(id: string, change: 'retry' | 'remove', again: () => void): JobChange {
    const job = this.#starts.jobs(Number.POSITIVE_INFINITY).jobs.find((one) => one.id === id);
    if (change === 'retry' && job?.state === 'completed') return 'finished';
    const removed = this.#starts.remove(id);
    if (removed === 'done' && change === 'retry') again();
    return removed;
  }

  /** Starts by result. */
  get results(): Readonly<Record<string, number>> {
    return this.#results;
  }

  get size(): number {
    return this.#running.size;
  }

  /** Lets all instances finish their requests, and stops their applications. */
  async drain(): Promise<void> {
    for (const linker of this.#running.keys()) linker.drain();
    await Promise.all(this.#running.values());
  }

  /** Kills their applications, also those of draining instances. */
  async end(): Promise<void> {
    for (const linker of this.#running.keys()) {
      linker.drain();
      linker.drain();
    }
    await Promise.race([Promise.all(this.#running.values()), delay(AT_ONCE_MS)]);
  }
}
