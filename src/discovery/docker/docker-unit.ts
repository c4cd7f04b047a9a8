/** One container that carries labels: a place for one instance. */
import { setTimeout as delay } from 'node:timers/promises';
import { unawaited } from '../../boundary.ts';
import type { HostPort } from '../../config/host-port.ts';
import type { AppExit } from '../../linker/app-process.ts';
import type { Declared } from '../labels.ts';
import type { Run, Unit } from '../source.ts';
import { type DockerApi, DockerRefusal } from './api.ts';
import { addressesTo, exitOf, type Inspected, type Listed, type Reach, readInspected } from './containers.ts';

/** Docker starts a container within this time, or says why it does not. */
const START_TIMEOUT_MS = 120_000;
/** Docker kills a container that has not ended by its time. */
const KILL_MS = 30_000;
/** A container that has just started may have no address yet. */
const NO_ADDRESS_LOOKS = 20;
const NO_ADDRESS_MS = 100;

/** For so long Docker's list may show one as running that has died. */
export const SETTLE_MS = 1_000;

export interface UnitPlace {
  readonly api: DockerApi;
  readonly reach: () => Reach;
}

export class DockerUnit implements Unit {
  readonly id: string;
  readonly createdAt: number;
  readonly declared: Declared;
  readonly #place: UnitPlace;
  #name: string;
  #run: DockerRun | null = null;
  #starting: Promise<Run> | null = null;
  /** When this process learnt last whether it runs, by performance.now(). What was asked before is older. */
  #knownAt = 0;
  /** When Docker said that it has died, and not yet that it was started again. */
  #diedAt = Number.NEGATIVE_INFINITY;

  constructor({ id, name, createdAt }: Listed, declared: Declared, place: UnitPlace) {
    this.id = id;
    this.#name = name;
    this.createdAt = createdAt;
    this.declared = declared;
    this.#place = place;
  }

  get said(): string {
    return `container ${this.#name}`;
  }

  get run(): Run | null {
    return this.#run;
  }

  start(signal: AbortSignal): Promise<Run> {
    if (this.#run !== null) return Promise.resolve(this.#run);
    this.#starting ??= this.#start(signal).finally(() => {
      this.#starting = null;
    });
    return this.#starting;
  }

  /**
   * The list of containers shows it. `askedAt`: when the list was asked for, by performance.now(). False: Docker says of one that has just died that it
   * runs, as it does for a moment, so it must be asked again.
   */
  listed({ name, isRunning }: Listed, askedAt: number): boolean {
    this.#name = name;
    if (askedAt <= this.#knownAt || this.#starting !== null) return true;
    if (isRunning && performance.now() - this.#diedAt < SETTLE_MS) return false;
    if (isRunning) this.#run ??= this.#newRun();
    else this.ended(null);
    return true;
  }

  /** Docker has said so. */
  died(exit: AppExit): void {
    this.#diedAt = performance.now();
    this.ended(exit);
  }

  /** Docker has said that it was started: what the list shows from now on holds. */
  started(): void {
    this.#diedAt = Number.NEGATIVE_INFINITY;
  }

  /** It has ended, or (null) is found ended: then Docker is asked how. */
  ended(exit: AppExit | null): void {
    const run = this.#run;
    if (run === null) return;
    this.#run = null;
    this.#knownAt = performance.now();
    if (exit !== null) run.over.resolve(exit);
    else
      unawaited(
        'discovery',
        this.#exit().then((found) => run.over.resolve(found)),
      );
  }

  removed(): void {
    this.ended({ code: 1, words: 'was removed' });
  }

  /** After a time without events: it may have ended and started meanwhile. */
  async check(): Promise<void> {
    const run = this.#run;
    if (run === null) return;
    const found = await this.inspect().catch((error: unknown) => {
      // It was removed a moment ago: the list will say so.
      if (error instanceof DockerRefusal) return null;
      throw error;
    });
    if (found === null) return;
    const { startedAt, isRunning, exit } = found;
    const isOther = run.startedAt !== null && run.startedAt !== startedAt;
    if ((isOther || !isRunning) && run === this.#run) this.ended(exit);
    run.startedAt ??= startedAt;
  }

  async inspect(signal?: AbortSignal): Promise<Inspected> {
    return readInspected(await this.#place.api.ask(`/containers/${this.id}/json`, signal === undefined ? {} : { signal }));
  }

  async #start(signal: AbortSignal): Promise<Run> {
    try {
      await this.#place.api.ask(`/containers/${this.id}/start`, { method: 'POST', timeoutMs: START_TIMEOUT_MS, signal });
    } catch (error) {
      throw new Error(`${this.said} could not be started: ${(error as Error).message}`);
    }
    this.#knownAt = performance.now();
    this.started();
    this.#run ??= this.#newRun();
    return this.#run;
  }

  #newRun(): DockerRun {
    this.#knownAt = performance.now();
    return new DockerRun(this, this.#place);
  }

  async #exit(): Promise<AppExit> {
    return this.inspect().then(
      ({ exit }) => exit,
      () => exitOf(1),
    );
  }
}

class DockerRun implements Run {
  readonly over = Promise.withResolvers<AppExit>();
  readonly ended = this.over.promise;
  startedAt: string | null = null;
  readonly #unit: DockerUnit;
  readonly #place: UnitPlace;

  constructor(unit: DockerUnit, place: UnitPlace) {
    this.#unit = unit;
    this.#place = place;
  }

  async addresses(signal: AbortSignal): Promise<readonly HostPort[]> {
    for (let looks = 0; ; looks++) {
      const container = await this.#unit.inspect(signal);
      this.startedAt ??= container.startedAt;
      const found = addressesTo(this.#unit.said, container, this.#unit.declared.instance, this.#place.reach());
      if (found.length > 0) return found;
      if (looks >= NO_ADDRESS_LOOKS) throw new Error(`${this.#unit.said} has no address`);
      await delay(NO_ADDRESS_MS, undefined, { signal });
    }
  }

  async stop(timeoutMs: number): Promise<void> {
    if (this.#unit.run !== this) return;
    try {
      const path = `/containers/${this.#unit.id}/stop?t=${Math.ceil(timeoutMs / 1_000)}`;
      await this.#place.api.ask(path, { method: 'POST', timeoutMs: timeoutMs + KILL_MS });
    } catch (error) {
      if (!(error instanceof DockerRefusal) || error.status !== 404) throw error;
    }
    if (this.#unit.run === this) this.#unit.ended({ code: 0, words: 'was stopped' });
  }
}
