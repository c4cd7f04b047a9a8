/** The application that a linker fronts: its own process, or one that runs by itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { guard, unawaited } from '../boundary.ts';
import { formatHostPort, type HostPort } from '../config/host-port.ts';
import type { ProxyVersion } from '../config/proxy-protocol.ts';
import { AcceptWatch } from './accept-watch.ts';
import { type AppExit, type AppOutputTaker, AppProcess } from './app-process.ts';
import type { AppAddress } from './app-socket.ts';
import { freePort } from './free-port.ts';
import { groupMembers, portsOf, strays } from './process-table.ts';
import { proxyHeader } from './proxy-header.ts';

const START_POLL_MS = 5;
const ABSENT_POLL_MS_MAX = 500;
/** An application that is away for longer is looked for less and less often. */
const EAGER_ROUNDS = 20;
const LOOPBACKS = ['127.0.0.1', '::1'];
/** Variables of the linker that the application does not get. */
const SECRET_VARIABLES = new Set(['PULLPROXY_SECRET']);
/** Tells the application its instance, and marks the processes that the application starts. */
const INSTANCE_VARIABLE = 'PULLPROXY_INSTANCE';
const CONTROL_VARIABLE = 'PULLPROXY_CONTROL';
const STRAYS_POLL_MS = 50;
const DAEMON_LOOKS = 4;
const DAEMON_CODE = 1;

export interface ApplicationOptions {
  /** Where it accepts; without it the application is given a free port in PORT. */
  readonly app?: HostPort;
  /** Its argument vector; without it the application runs by itself. */
  readonly command?: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly instance: string;
  /** Where it may say its limit. */
  readonly controlSaid?: string | undefined;
  /** Takes what it writes; without it that goes to standard error. */
  readonly output?: AppOutputTaker | undefined;
  readonly startTimeoutMs: number;
  readonly stopTimeoutMs: number;
  /** It is ready when it answers a GET of this path with 2xx; absent: when it accepts. */
  readonly readyPath?: string | undefined;
  /** Its connections begin with a PROXY header. */
  readonly proxyProtocol?: ProxyVersion | undefined;
  /** The host that such a request asks for. */
  readonly route: string;
}

export interface ApplicationEvents {
  /** A place among the application's connections; null when there is none. */
  reserve(): (() => void) | null;
  accepts(address: AppAddress): void;
  ended(exit: AppExit): void;
  /** It has not become ready within the start timeout; `words` say what it has not done. */
  tooSlow(words: string): void;
  /** Nothing would end it if this process were killed. */
  unguarded(reason: string): void;
}

/** The calls of a linker to its application. */
export interface LinkedApplication {
  /** Undefined: it runs by itself. */
  readonly pid: number | undefined;
  /** `stop` ends it. */
  readonly endsIt: boolean;
  start(): Promise<void>;
  /** It accepts no longer: looks until it does. */
  lookAgain(): void;
  stopLooking(): void;
  /** The step that it has not done `yet`. */
  notReadyWords(yet: ' in time' | ' yet'): string;
  signal(name: NodeJS.Signals): void;
  /** At once. */
  kill(): void;
  /** Resolves when nothing of it is left, after `timeoutMs` by force. */
  stop(timeoutMs: number): Promise<void>;
}

export function readyRequest(path: string, route: string): string {
  // A wildcard is not a host.
  const host = route.replace(/^\*\.?/, '') || 'localhost';
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: pullproxy\r\nConnection: close\r\n\r\n`;
}

export class Application implements LinkedApplication {
  readonly #options: ApplicationOptions;
  readonly #events: ApplicationEvents;
  #process: AppProcess | null = null;
  #watch: AcceptWatch | null = null;
  #deadline: NodeJS.Timeout | null = null;
  #port = 0;
  /** It has gone to the background, and left its group. */
  #isDaemon = false;
  #stopped = false;
  /** Processes that the application starts inherit it, also those that leave its group. */
  readonly #mark: string;

  constructor(options: ApplicationOptions, events: ApplicationEvents) {
    this.#options = options;
    this.#events = events;
    this.#mark = `${INSTANCE_VARIABLE}=${options.instance}`;
  }

  /** Undefined: it runs by itself. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get endsIt(): boolean {
    return this.#options.command !== undefined;
  }

  async start(): Promise<void> {
    const { app, command, env, instance, controlSaid, startTimeoutMs, stopTimeoutMs, readyPath, proxyProtocol, route } = this.#options;
    const port = app?.port ?? (await freePort());
    this.#port = port;
    if (this.#stopped) return;
    if (command !== undefined) {
      const allowed = Object.entries(env).filter(([name]) => !SECRET_VARIABLES.has(name));
      this.#process = new AppProcess({
        command,
        env: {
          ...Object.fromEntries(allowed),
          PORT: String(port),
          [INSTANCE_VARIABLE]: instance,
          [CONTROL_VARIABLE]: controlSaid,
        },
        mark: this.#mark,
        stopTimeoutMs,
        output: this.#options.output,
        unguarded: (reason) => this.#events.unguarded(reason),
      });
      const ended = this.#process.exited.then(async (exit) => this.#events.ended((await this.#asDaemon(exit)) ?? exit));
      unawaited('application', ended);
      const tooSlow = guard('timer', () => this.#events.tooSlow(this.notReadyWords(' in time')));
      this.#deadline = setTimeout(tooSlow, startTimeoutMs);
    }
    this.#watch = new AcceptWatch({
      candidates: app === undefined ? LOOPBACKS.map((host) => ({ host, port })) : [app],
      readyRequest: readyPath === undefined ? undefined : readyRequest(readyPath, route),
      opening: proxyProtocol && proxyHeader(proxyProtocol, ''),
      reserve: () => this.#events.reserve(),
      pauseMs: (round) => this.#pauseMs(round),
      accepts: (address) => {
        this.#disarm();
        this.#events.accepts(address);
      },
    });
    this.#watch.look();
  }

  /** It accepts no longer: looks until it does. */
  lookAgain(): void {
    this.#watch?.look();
  }

  stopLooking(): void {
    this.#stopped = true;
    this.#disarm();
    this.#watch?.stop();
  }

  signal(name: NodeJS.Signals): void {
    this.#process?.signal(name);
  }

  /** SIGKILL, to all that it started as well. */
  kill(): void {
    this.#process?.kill();
  }

  /** SIGTERM and, after `timeoutMs`, SIGKILL. Resolves when nothing of it is left; one that runs by itself runs on. */
  async stop(timeoutMs: number): Promise<void> {
    if (this.#process === null) return;
    const killAt = performance.now() + timeoutMs;
    const told = new Set<number>();
    this.#signalStrays(told, false);
    await this.#process.stop(timeoutMs);
    // One that forks may be in no look. Where nothing has left the group, one look is enough.
    for (let quiet = 0; quiet < (this.#isDaemon || told.size > 0 ? DAEMON_LOOKS : 1); ) {
      if (this.#signalStrays(told, performance.now() >= killAt)) quiet = 0;
      else quiet++;
      if (told.size > 0 || this.#isDaemon) await sleep(STRAYS_POLL_MS);
    }
    this.#process.release();
  }

  /**
   * An application that ends well before it has accepted, and runs on all the same, has gone to the background (daemon(3)). Nobody can see
   * there when it ends, or end it with its group: it can't be run like that. Null: it has not.
   */
  async #asDaemon(exit: AppExit): Promise<AppExit | null> {
    const { pid } = this.#process ?? {};
    if (exit.code !== 0 || this.#deadline === null || pid === undefined) return null;
    let runsOn: number | undefined;
    // It forks twice while it is looked for, and one that is born between two lines of the table is in neither.
    for (let look = 0; look < DAEMON_LOOKS && runsOn === undefined; look++) {
      if (look > 0) await sleep(STRAYS_POLL_MS);
      [runsOn] = [...strays(this.#mark, pid), ...groupMembers(pid)];
    }
    if (runsOn === undefined) return null;
    this.#isDaemon = true;
    const words = `has gone to the background: its command ended with code 0, and process ${runsOn} runs on. It has to stay in the foreground, as for nginx by -g 'daemon off;'. What runs on is stopped`;
    return { code: DAEMON_CODE, words, daemon: true };
  }

  /** The step that it has not done `yet`, and where it listens instead. */
  notReadyWords(yet: ' in time' | ' yet'): string {
    const { app, readyPath } = this.#options;
    const place = app === undefined ? `port ${this.#port} (PORT)` : formatHostPort(app);
    if (this.#watch?.hasAccepted === true) return `accepts at ${place}, and has not answered GET ${readyPath ?? '/'} with 2xx${yet}`;
    const { pid } = this.#process ?? {};
    const elsewhere = pid === undefined ? [] : portsOf(groupMembers(pid));
    const hint = elsewhere.length === 0 ? '' : `: it listens at port ${elsewhere.join(', ')}`;
    return `has not accepted a connection at ${place}${yet}${hint}`;
  }

  /** SIGTERM, once, or SIGKILL to processes that have left the group. Returns whether there are any. */
  #signalStrays(told: Set<number>, late: boolean): boolean {
    const left = strays(this.#mark, this.#process?.pid ?? 0);
    for (const pid of left) if (late || !told.has(pid)) signal(pid, late ? 'SIGKILL' : 'SIGTERM');
    for (const pid of left) told.add(pid);
    return left.length > 0;
  }

  #disarm(): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#deadline = null;
  }

  /** While it starts each millisecond counts; one that is away may stay away. */
  #pauseMs(round: number): number {
    if (this.#deadline !== null || round <= EAGER_ROUNDS) return START_POLL_MS;
    return Math.min(ABSENT_POLL_MS_MAX, START_POLL_MS * 2 ** (round - EAGER_ROUNDS));
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It is gone, or belongs to another user now.
  }
}
