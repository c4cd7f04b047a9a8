/**
 * An application that pulls its requests by itself, without a linker beside it: the same slots, the same rules, one process. Importing this
 * has no effect but the import.
 */
import { EventEmitter } from 'node:events';
import { reportInternalErrors, unawaited } from '../boundary.ts';
import { LINKER } from '../config/commands/linker.ts';
import { loadCommand } from '../config/load.ts';
import { keyedName } from '../config/route-key.ts';
import { secretOf } from '../config/secret-file.ts';
import { readVersion } from '../config/version.ts';
import { ConfigError } from '../errors.ts';
import type { ApplicationEvents } from '../linker/application.ts';
import { askedLimit } from '../linker/asked-limit.ts';
import { InProcessApplication } from '../linker/in-process-application.ts';
import { Linker } from '../linker/linker.ts';
import { nodeTlsOf } from '../linker/tls-files.ts';
import { createLog } from '../log.ts';
import { type Handler, takerOf } from './handler.ts';

export type { FetchHandler, Handler, NodeListener } from './handler.ts';

/**
 * The settings of `pullproxy linker`, in camel case, but for those of an application's own process. Durations are texts such as `30s`, files
 * are paths. A setting that is not given is taken from its environment variable (`PULLPROXY_SECRET`, `PULLPROXY_START_ID`, …).
 */
export interface PullOptions {
  /** HOST:PORT of a node's backend port, or several. */
  readonly proxy?: string | readonly string[];
  /** The host name that the application answers to. */
  readonly route?: string;
  /** The key of the route for which the instance is. */
  readonly key?: string;
  /** How many requests it serves at once: 10 by default. 'auto' finds it. */
  readonly concurrency?: number | 'auto' | `auto:${number}-${number}`;
  /** It never says more than this: 1,000 by default. */
  readonly concurrencyMax?: number;
  readonly secret?: string;
  readonly secretFile?: string;
  readonly startId?: string;
  /** Without a request for so long the instance leaves: 300s for the newest one, 10s for others. */
  readonly idleTimeout?: string;
  readonly oldIdleTimeout?: string;
  /** How long `leave()` waits for running requests: 30s. */
  readonly drainTimeout?: string;
  readonly proxyTlsCa?: string;
  readonly proxyTlsCert?: string;
  readonly proxyTlsKey?: string;
  readonly proxyTlsName?: string;
  /** Lines of the log, as JSON on stdout: `warn` by default. */
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

interface InstanceEvents {
  /** The instance has become the newest of its route, or is no longer. */
  newest: [isNewest: boolean];
  /** It serves nobody any more, and has no connection left. */
  left: [];
}

/** The options of `pull`, and what a flag of the linker is called. */
const OPTIONS = {
  proxy: 'proxy',
  route: 'route',
  key: 'key',
  concurrency: 'concurrency',
  concurrencyMax: 'concurrency-max',
  secret: 'secret',
  secretFile: 'secret-file',
  startId: 'start-id',
  idleTimeout: 'idle-timeout',
  oldIdleTimeout: 'old-idle-timeout',
  drainTimeout: 'drain-timeout',
  proxyTlsCa: 'proxy-tls-ca',
  proxyTlsCert: 'proxy-tls-cert',
  proxyTlsKey: 'proxy-tls-key',
  proxyTlsName: 'proxy-tls-name',
  logLevel: 'log-level',
} as const satisfies Record<keyof PullOptions, string>;

/** One instance of a route, in this process. */
export class Instance extends EventEmitter<InstanceEvents> {
  readonly #linker: Linker;
  readonly #left: Promise<void>;

  /** @internal */
  constructor(linker: (newest: (isNewest: boolean) => void) => Linker) {
    super();
    this.#linker = linker((isNewest) => this.emit('newest', isNewest));
    this.#left = this.#linker.run().then(() => {
      this.emit('left');
    });
  }

  /** Lower-case letters and digits. */
  get id(): string {
    return this.#linker.instance;
  }

  /** How many requests the application may have at once now. */
  get concurrency(): number {
    return this.#linker.control.picture.concurrency;
  }

  /**
   * From the assignment on no request beyond it is given to the application; a higher one is used at once. 0: not now.
   * @throws RangeError when it is no whole number from 0 on
   */
  set concurrency(limit: number) {
    if (!Number.isSafeInteger(limit) || limit < 0) throw new RangeError(`concurrency: ${limit}: expected a whole number, 0 or more`);
    this.#linker.limit.set(limit, 'control');
  }

  /** Requests that the application has. */
  get inUse(): number {
    return this.#linker.control.picture.active;
  }

  /** Serves running requests to their end, at most for the drain timeout, and takes no others. Resolves when all is over. */
  leave(): Promise<void> {
    unawaited('application', this.#linker.control.leave());
    return this.#left;
  }

  /** @internal */
  get ready(): Promise<void> {
    return this.#linker.ready;
  }
}

/**
 * Links this process to the nodes at `proxy` as an instance of `route`, and serves requests with `handler`, never more at once than
 * `concurrency`. Resolves when a node has its slots; while no node can be reached it goes on trying.
 * @throws ConfigError (a TypeError in its words) with all problems of the options and of the handler
 */
export async function pull(handler: Handler, options: PullOptions): Promise<Instance> {
  const take = takerOf(handler);
  const loaded = await loadCommand(LINKER, [...flagsOf(options), '--', 'pull']).catch((error: unknown) => {
    throw error instanceof ConfigError ? new ConfigError(error.problems.map(inOptionsWords)) : error;
  });
  if (loaded === null) throw new ConfigError(['options: expected values, not a question for help']);
  const { values: settings } = loaded;
  const log = createLog('pull', options.logLevel === undefined ? 'warn' : settings.logLevel);
  const { startId, idleTimeoutMs, oldIdleTimeoutMs, drainTimeoutMs, linkVersionMin, proxy: proxies } = settings;
  const route = settings.key === undefined ? settings.route : keyedName(settings.route, settings.key);
  const times = { idleTimeoutMs, oldIdleTimeoutMs, drainTimeoutMs };
  const asked = askedLimit(settings.concurrency, settings.concurrencyMax, (slots) => slots);
  const application = (events: ApplicationEvents) => new InProcessApplication(take, events);
  const same = { ...times, ...asked, proxies, route, startId, linkVersionMin, application, log };
  const [secret, tls, version] = [secretOf(settings), nodeTlsOf(settings), readVersion()];
  const instance = new Instance((newest) => new Linker({ ...same, secret, tls, version, env: {}, newest }));
  // An instance whose state can't be trusted leaves; the process is its owner's.
  reportInternalErrors(log, () => unawaited('unknown', instance.leave()));
  await instance.ready;
  return instance;
}

function flagsOf(options: PullOptions): string[] {
  const problems: string[] = [];
  const flags = Object.entries(options ?? {}).flatMap(([name, value]: [string, unknown]) => {
    if (value === undefined) return [];
    if (!Object.hasOwn(OPTIONS, name)) {
      problems.push(`${name}: expected one of the options ${Object.keys(OPTIONS).join(', ')}`);
      return [];
    }
    const flag = OPTIONS[name as keyof PullOptions];
    return (Array.isArray(value) ? value : [value]).map((item: unknown) => `--${flag}=${String(item)}`);
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return flags;
}

const NAMES: ReadonlyMap<string, string> = new Map(Object.entries(OPTIONS).map(([name, flag]) => [`--${flag}`, name]));

/** Problems name flags. */
function inOptionsWords(problem: string): string {
  return problem.replaceAll(/--[a-z-]+/g, (flag) => NAMES.get(flag) ?? flag);
}
