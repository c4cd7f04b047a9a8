/** The application that a linker fronts: its own process, or one that runs by itself. */
import { guard, unawaited } from '../boundary.ts';
import type { HostPort } from '../config/host-port.ts';
import type { ProxyVersion } from '../config/proxy-protocol.ts';
import { AcceptWatch } from './accept-watch.ts';
import { type AppExit, AppProcess } from './app-process.ts';
import { freePort } from './free-port.ts';
import { proxyHeader } from './proxy-header.ts';

const START_POLL_MS = 5;
const ABSENT_POLL_MS_MAX = 500;
/** An application that is away for longer is looked for less and less often. */
const EAGER_ROUNDS = 20;
const LOOPBACKS = ['127.0.0.1', '::1'];
/** What the linker was told and the application is not. */
const SECRET_VARIABLES = new Set(['PULLPROXY_SECRET']);

export interface ApplicationOptions {
  /** Where it accepts; without it the application is given a free port in PORT. */
  readonly app?: HostPort;
  /** Its argument vector; without it the application runs by itself. */
  readonly command?: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly startTimeoutMs: number;
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
  accepts(address: HostPort): void;
  ended(exit: AppExit): void;
  /** It has not accepted within the start timeout. */
  tooSlow(): void;
}

function readyRequest(path: string, route: string): string {
  // A wildcard is no host.
  const host = route.replace(/^\*\.?/, '') || 'localhost';
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: pullproxy\r\nConnection: close\r\n\r\n`;
}

export class Application {
  readonly #options: ApplicationOptions;
  readonly #events: ApplicationEvents;
  #process: AppProcess | null = null;
  #watch: AcceptWatch | null = null;
  #deadline: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(options: ApplicationOptions, events: ApplicationEvents) {
    this.#options = options;
    this.#events = events;
  }

  async start(): Promise<void> {
    const { app, command, env, startTimeoutMs, readyPath, proxyProtocol, route } = this.#options;
    const port = app?.port ?? (await freePort());
    if (this.#stopped) return;
    if (command !== undefined) {
      const allowed = Object.entries(env).filter(([name]) => !SECRET_VARIABLES.has(name));
      this.#process = new AppProcess({ command, env: { ...Object.fromEntries(allowed), PORT: String(port) } });
      const ended = this.#process.exited.then((exit) => this.#events.ended(exit));
      unawaited('application', ended);
      const tooSlow = guard('timer', () => this.#events.tooSlow());
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
    await this.#process?.stop(timeoutMs);
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
