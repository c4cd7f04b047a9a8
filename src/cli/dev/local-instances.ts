/** The instances of one application: each is a linker in this process, with the application as its child. */
import { setTimeout as delay } from 'node:timers/promises';
import { guard, unawaited } from '../../boundary.ts';
import { inheritedEnvironment } from '../../config/environment.ts';
import type { HostPort } from '../../config/host-port.ts';
import { nameParts, slugOf } from '../../config/route-key.ts';
import { readVersion } from '../../config/version.ts';
import type { AskedLimit } from '../../linker/asked-limit.ts';
import { Control } from '../../linker/control.ts';
import { newInstanceId } from '../../linker/instance-id.ts';
import { Linker } from '../../linker/linker.ts';
import type { LinkerOptions, LinkerTimes } from '../../linker/linker-options.ts';
import { type Log, writeToStderr } from '../../log.ts';
import { LocalStarts } from '../../scaling/local-starts.ts';
import type { JobChange, StartupJobs } from '../../scaling/startup-job.ts';
import { AppOutput } from './app-output.ts';
import { type Failure, LastFailure } from './last-failure.ts';
import type { InstanceNames } from './people-log.ts';

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
  /** Shows one line of an instance to the person at the terminal; null: what it writes goes out as it is. */
  readonly showLine: ((number: number, text: string) => void) | null;
  readonly names: InstanceNames;
}

/** How long to wait for instances that end at once; by then their applications are killed. */
const AT_ONCE_MS = 1_000;
/** A start that takes longer is explained: the application may listen elsewhere. */
const SLOW_START_MS = 5_000;

export class LocalInstances {
  readonly #options: LocalOptions;
  readonly #running = new Map<Linker, { readonly over: Promise<number>; readonly output: AppOutput }>();
  readonly #results = { ok: 0, failed: 0 };
  readonly #starts = new LocalStarts();
  /** Why clients get no response of the application, for the person who develops it. */
  readonly lastFailure = new LastFailure(
    () => performance.now(),
    () => this.#startingNow(),
  );

  constructor(options: LocalOptions) {
    this.#options = options;
  }

  /** Starts one instance; resolves when it serves, rejects when its application ended before. */
  /** `route`: or a key of it. */
  start(startId: string, route = this.#options.route): Promise<void> {
    const { showLine, names } = this.#options;
    const instance = newInstanceId();
    const number = names.add([instance, startId]);
    const line = showLine === null ? null : (text: string) => showLine(number, text);
    const output = new AppOutput({ line, raw: writeToStderr, now: () => performance.now() });
    const start = (): Promise<void> => this.#start(startId, route, instance, output);
    return this.#starts.watch(route, startId, start, () => output.last.join('\n'));
  }

  async #start(startId: string, route: string, instance: string, output: AppOutput): Promise<void> {
    const { proxy, times, log, asked, showLine: _, names, ...same } = { ...this.#options, route };
    const own = log.child({ startId });
    // The 'ready' of a linker would be one too many: this process logs its own.
    own.level = log.isLevelEnabled('debug') ? log.level : 'warn';
    // Python keeps what it writes to a pipe until there is more of it.
    const { key } = nameParts(route);
    const env = { PYTHONUNBUFFERED: '1', ...inheritedEnvironment(), ...(key === null ? {} : { KEY: key, SLUG: slugOf(route) }) };
    const version = readVersion();
    const control = await Control.openOwn(own).catch((error: unknown) => {
      names.remove([instance, startId]);
      throw error;
    });
    const linker = new Linker({
      ...times,
      ...same,
      ...asked,
      proxies: [proxy],
      control,
      env,
      startId,
      instance,
      version,
      log: own,
      output: (from, text) => output.take(from, text),
    });
    const over = linker.run().finally(() => this.#running.delete(linker));
    this.#running.set(linker, { over, output });
    const said = over.then((code) => {
      output.end();
      if (linker.failure !== null) this.lastFailure.failed({ words: linker.failure, lines: output.last });
      log.info({ route: same.route, instance, code }, 'instance has left');
      names.remove([instance, startId]);
    });
    unawaited('application', said);
    const slow = setTimeout(
      guard('timer', () => {
        const reason = linker.startingWords;
        if (reason !== null) own.warn({ reason }, 'an instance is not ready yet');
      }),
      SLOW_START_MS,
    );
    await linker.ready
      .finally(() => clearTimeout(slow))
      .catch((error: unknown) => {
        this.#results.failed++;
        throw error;
      });
    this.#results.ok++;
    this.lastFailure.served();
    log.info({ route: same.route, instance: linker.instance }, 'instance serves');
  }

  /** The last starts, for people. */
  jobs(max: number): StartupJobs {
    return this.#starts.jobs(max);
  }

  /** A start that has ended is forgotten; with `retry`, `again` is to start another instance. */
  changeJob(id: string, change: 'retry' | 'remove', again: () => void): JobChange {
    return this.#starts.change(id, change, again);
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
    await this.#over();
  }

  /** Kills their applications, also those of draining instances. */
  async end(): Promise<void> {
    for (const linker of this.#running.keys()) {
      linker.drain();
      linker.drain();
    }
    await Promise.race([this.#over(), delay(AT_ONCE_MS)]);
  }

  async #over(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ over }) => over));
  }

  #startingNow(): Failure | null {
    for (const [linker, { output }] of this.#running) {
      const words = linker.startingWords;
      if (words !== null) return { words, lines: output.last };
    }
    return null;
  }
}
