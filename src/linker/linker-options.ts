import type { HostPort } from '../config/host-port.ts';
import type { ProxyVersion } from '../config/proxy-protocol.ts';
import type { NodeTls } from '../link/connect.ts';
import type { Hello } from '../link/hello.ts';
import type { LinkTiming } from '../link/link.ts';
import type { Log } from '../log.ts';
import type { AppOutputTaker } from './app-process.ts';
import type { ApplicationEvents, LinkedApplication } from './application.ts';
import type { AutoRange } from './auto-search.ts';
import type { Control } from './control.ts';
import type { Changing, Lookup } from './dial.ts';

export interface LinkerOptions extends Partial<LinkerTimes> {
  /** Backend addresses of nodes; a name may have several addresses. */
  readonly proxies: readonly HostPort[];
  /** Or the name of a route's key. */
  readonly route: string;
  /** How many requests the application gets at once until it says otherwise; 0: none. */
  readonly concurrency: number;
  /** The application can't set it beyond this; without it CONCURRENCY_MAX_DEFAULT, or `concurrency` if that is more. */
  readonly concurrencyMax?: number | undefined;
  /** The linker searches for the limit in this range, until the application says one. */
  readonly auto?: AutoRange | undefined;
  /** Where the application says its limit, besides its responses. */
  readonly control?: Control;
  readonly secret: Changing<string>;
  /** Makes the application, which is then neither at `app` nor a process of `command`. */
  readonly application?: (events: ApplicationEvents) => LinkedApplication;
  /** While it is true the instance does not ask whether it may leave. */
  readonly stays?: () => boolean;
  /** Told when the instance becomes the newest of its route, or is no longer. */
  readonly newest?: (isNewest: boolean) => void;
  /** Where the application accepts; without it, it is given a free port in PORT. */
  readonly app?: HostPort;
  /** The application's argument vector; without it, the application runs by itself at `app`. */
  readonly command?: readonly string[];
  /** Takes what the application writes; without it that goes to standard error. */
  readonly output?: AppOutputTaker;
  /** The environment that the application inherits, without the linker's secret. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The application is ready when it answers a GET of this path with 2xx; without it, when it accepts. */
  readonly readyPath?: string | undefined;
  /** Each connection to the application begins with a PROXY header that says whose it is, and serves nobody else. */
  readonly proxyProtocol?: ProxyVersion | undefined;
  readonly instance?: string;
  readonly startId?: string;
  /** The version of this package, which nodes show to people. */
  readonly version?: string;
  readonly tls?: Changing<NodeTls>;
  readonly linkTiming?: LinkTiming;
  /** The oldest version of the link protocol that a node may speak; without it the newest. */
  readonly linkVersionMin?: number;
  /** How names are resolved; as the system does it unless a test knows better. */
  readonly lookup?: Lookup;
  /** Told when the application can't be run at all as it is, and why: another start of it would end in the same way. */
  readonly impossible?: (why: string) => void;
  readonly log: Log;
}

export const CONCURRENCY_MAX_DEFAULT = 1_000;

export interface LinkerTimes {
  /** From the application's start until it accepts. */
  readonly startTimeoutMs: number;
  /** Quiet after which the newest instance of the route asks to retire. */
  readonly idleTimeoutMs: number;
  /** The same for older ones. */
  readonly oldIdleTimeoutMs: number;
  readonly drainTimeoutMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly stopTimeoutMs: number;
  /** An application that computes in silence for a client that has gone is waited for. */
  readonly abortTimeoutMs: number;
  /** One that goes on writing is cut off. */
  readonly discardTimeoutMs: number;
  readonly idleLinkTimeoutMs: number;
  /** After a retirement: how long to stay, gone as far as the nodes know, until somebody says to end. */
  readonly lingerMs: number;
}

export const LINKER_TIMES: LinkerTimes = {
  startTimeoutMs: 60_000,
  idleTimeoutMs: 300_000,
  oldIdleTimeoutMs: 10_000,
  drainTimeoutMs: 30_000,
  stopTimeoutMs: 10_000,
  abortTimeoutMs: 30_000,
  discardTimeoutMs: 1_000,
  idleLinkTimeoutMs: 30_000,
  lingerMs: 0,
};

/** The facts that an instance tells when it dials for the first time. `most`: its limit is never more. */
export function helloOf({ route, concurrency, startId, version, proxyProtocol }: LinkerOptions, instance: string, most: number): Hello {
  const needed = { route, instance, seq: Date.now(), takesOrder: true, concurrency: Math.max(1, concurrency), concurrencyMax: most };
  return { ...needed, startId, version, ...(proxyProtocol && { tellClients: true }) };
}

/** Missing values are the defaults. */
export function timesOf(options: Partial<LinkerTimes>): LinkerTimes {
  const names = Object.keys(LINKER_TIMES) as (keyof LinkerTimes)[];
  return Object.fromEntries(names.map((name) => [name, options[name] ?? LINKER_TIMES[name]])) as Record<keyof LinkerTimes, number>;
}
