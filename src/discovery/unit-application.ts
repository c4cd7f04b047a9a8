/** The application of a linker in this process: a unit that its source starts and stops. */
import { guard, unawaited } from '../boundary.ts';
import { formatHostPort } from '../config/host-port.ts';
import { messageOf } from '../errors.ts';
import { AcceptWatch } from '../linker/accept-watch.ts';
import { type ApplicationEvents, type LinkedApplication, readyRequest } from '../linker/application.ts';
import { proxyHeader } from '../linker/proxy-header.ts';
import type { Log } from '../log.ts';
import type { Run, Unit } from './source.ts';

const START_POLL_MS = 20;
const ABSENT_POLL_MS_MAX = 1_000;
/** An application that is away for longer is looked for less and less often. */
const EAGER_ROUNDS = 50;

export interface UnitTimes {
  readonly startTimeoutMs: number;
  readonly stopTimeoutMs: number;
}

export class UnitApplication implements LinkedApplication {
  readonly pid = undefined;
  readonly #unit: Unit;
  readonly #times: UnitTimes;
  readonly #events: ApplicationEvents;
  readonly #log: Log;
  readonly #stopping = new AbortController();
  /** It ran already: nobody knows since when it starts. */
  readonly #isAdopted: boolean;
  #starting: Promise<Run> | null = null;
  #run: Run | null = null;
  #hasEnded = false;
  #isLeft = false;
  #watch: AcceptWatch | null = null;
  #deadline: NodeJS.Timeout | null = null;
  #said = '';

  constructor(unit: Unit, times: UnitTimes, events: ApplicationEvents, log: Log) {
    this.#unit = unit;
    this.#times = times;
    this.#events = events;
    this.#log = log;
    this.#isAdopted = unit.run !== null;
  }

  get endsIt(): boolean {
    return !this.#isLeft && this.#run !== null;
  }

  async start(): Promise<void> {
    if (!this.#isAdopted) {
      const tooSlow = guard('timer', () => this.#events.tooSlow(this.notReadyWords(' in time')));
      this.#deadline = setTimeout(tooSlow, this.#times.startTimeoutMs);
    }
    try {
      this.#starting = this.#unit.start(this.#stopping.signal);
      const run = await this.#starting;
      this.#run = run;
      unawaited(
        'application',
        run.ended.then((exit) => this.#ended(exit.code, `(${this.#unit.said}) ${exit.words}`)),
      );
      await this.#look();
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#ended(1, `was not started: ${messageOf(error)}`);
    }
  }

  /** It accepts no longer: looks until it does. Its address may be another one by now. */
  lookAgain(): void {
    const failed = (error: unknown): void =>
      this.#log.warn({ reason: messageOf(error) }, 'the address of a discovered application is not known');
    this.#look().catch(failed);
  }

  stopLooking(): void {
    this.#disarm();
    this.#stopping.abort();
    this.#watch?.stop();
  }

  notReadyWords(end: ' in time' | ' yet'): string {
    if (this.#run === null) return `(${this.#unit.said}) has not been started${end}`;
    const asks = this.#unit.declared.instance.readyPath !== undefined && this.#watch?.hasAccepted === true;
    const what = asks ? `has not answered at ${this.#unit.declared.instance.readyPath} with 2xx` : 'has not accepted a connection';
    return `(${this.#unit.said}) ${what}${this.#said === '' ? '' : ` at ${this.#said}`}${end}`;
  }

  /** Signals are for the processes of a linker: whoever wants to send one to a container asks its source. */
  signal(): void {}

  kill(): void {
    unawaited('application', this.stop(this.#times.stopTimeoutMs));
  }

  /** From now on nothing is stopped: this process ends, and the unit runs on. */
  leaveRunning(): void {
    this.#isLeft = true;
  }

  async stop(timeoutMs: number): Promise<void> {
    if (this.#isLeft) return;
    // One that is being started is stopped as soon as it runs.
    const run = this.#run ?? (await this.#starting?.catch(() => null)) ?? null;
    if (run === null || this.#hasEnded) return;
    try {
      await run.stop(timeoutMs);
    } catch (error) {
      this.#log.warn(
        { reason: messageOf(error), unit: this.#unit.said },
        'a discovered application could not be stopped: it runs on, and is taken up again',
      );
    }
  }

  async #look(): Promise<void> {
    const run = this.#run;
    const { signal } = this.#stopping;
    if (run === null || this.#hasEnded || signal.aborted) return;
    const candidates = await run.addresses(signal);
    if (signal.aborted) return;
    this.#said = candidates.map(formatHostPort).join(', ');
    this.#watch?.stop();
    const { readyPath, proxyProtocol } = this.#unit.declared.instance;
    this.#watch = new AcceptWatch({
      candidates,
      readyRequest: readyPath === undefined ? undefined : readyRequest(readyPath, this.#unit.declared.route),
      opening: proxyProtocol && proxyHeader(proxyProtocol, ''),
      reserve: () => this.#events.reserve(),
      pauseMs: (round) => Math.min(ABSENT_POLL_MS_MAX, START_POLL_MS * 2 ** Math.max(0, round - EAGER_ROUNDS)),
      accepts: (address) => {
        this.#disarm();
        this.#events.accepts(address);
      },
    });
    this.#watch.look();
  }

  #ended(code: number, words: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#disarm();
    this.#events.ended({ code, words });
  }

  #disarm(): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline);
  }
}
