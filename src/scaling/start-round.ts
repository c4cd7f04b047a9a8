/**
 * One round of starting instances of one route: begin what is missing, run the command for it, and look again while it
 * runs, because clients keep coming. The same for the scaler and for `dev`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { StartDirectory, StartPlan } from '../cluster/directory.ts';
import type { RouteSettings } from '../config/route-settings.ts';
import type { Log } from '../log.ts';
import { type Decision, decide } from './desired.ts';
import type { Lanes, Release } from './lanes.ts';
import { reasonOf } from './reason.ts';
import { newStartId } from './start-ids.ts';

/** After a failed round: waits of 1, 2, 4 and 8 s, then it counts as a new matter. All of it is shorter than a client is held. */
export const RETRY = { attempts: 5, firstMs: 1_000 } as const;

/** How often a route is looked at while commands for it run. */
const LOOK_AGAIN_MS = 250;
/** Each conflict means that somebody else has got on, so this many in a row are a fault. */
const CONFLICTS_MAX = 50;

/** One run of the startup command. */
export interface StartOrder {
  /** What the command calls its start. */
  readonly startId: string;
  readonly desired: number;
  readonly count: number;
  readonly held: number;
  readonly ready: number;
}

/** What a round that was cut off leaves to the next one. */
export interface Unfinished {
  /** Instances asked for beyond what clients need, and not begun with success yet. */
  readonly force: number;
  /** Starts that were begun and whose command had not ended. */
  readonly startIds: readonly string[];
}

export interface RoundOptions {
  readonly directory: Pick<StartDirectory, 'startPlan' | 'beginStarts' | 'endStart'>;
  readonly route: string;
  readonly settings: RouteSettings;
  readonly unfinished: Unfinished;
  readonly lanes: Lanes;
  readonly log: Log;
  /** Runs the startup command; rejects when it failed. */
  run(order: StartOrder): Promise<void>;
  /** Told before and after each change, for the case that this process does not see the end. Must not reject. */
  remember(unfinished: Unfinished): Promise<void>;
  /** Once aborted, nothing more is begun; what runs is waited for. */
  readonly stopping: AbortSignal;
}

/** What is there, and what follows from it. Rejects when the directory does not answer: no data is no decision. */
export async function assess(
  directory: Pick<StartDirectory, 'startPlan'>,
  route: string,
  settings: RouteSettings,
  force: number,
): Promise<{ plan: StartPlan; decision: Decision }> {
  const plan = await directory.startPlan(route);
  const decision = decide({
    // A promised slot has left `free` already, so it stands for its client.
    held: plan.held - plan.promised,
    slots: plan.slots,
    free: plan.free,
    ready: plan.ready,
    starting: plan.starting,
    concurrency: plan.concurrency ?? settings.concurrency ?? null,
    min: settings.minInstances,
    max: settings.maxInstances,
    force,
  });
  return { plan, decision };
}

/**
 * Resolves with the number of starts when nothing is missing and no command runs any more. Rejects, when the last command
 * has ended, if one of them failed; after a failure nothing more is begun, since the next try has to wait.
 */
export function runRound(options: RoundOptions): Promise<number> {
  return new StartRound(options).run();
}

class StartRound {
  readonly #options: RoundOptions;
  /** Asked for and not begun yet. */
  #force: number;
  /** Names of starts that nobody has seen end: a command that names what it starts by them does not start it twice. */
  #namesToReuse: string[] = [];
  /** Begun, and the command has not ended. */
  readonly #open = new Set<string>();
  readonly #running = new Set<Promise<void>>();
  readonly #failures: Error[] = [];
  #failed = 0;
  #started = 0;

  constructor(options: RoundOptions) {
    this.#options = options;
    this.#force = options.unfinished.force;
  }

  async run(): Promise<number> {
    await this.#takeBackUnfinished();
    await this.#begin();
    while (this.#running.size > 0) {
      await this.#commandEndedOrTimePassed();
      if (this.#failures.length === 0 && !this.#options.stopping.aborted) await this.#begin().catch((error) => this.#note(error));
    }
    const [first] = this.#failures;
    if (first === undefined) return this.#started;
    const others = this.#failures.length - 1;
    throw new Error(others === 0 ? first.message : `${first.message} (and ${others} more)`, { cause: first });
  }

  async #takeBackUnfinished(): Promise<void> {
    const { directory, route, unfinished, settings, log } = this.#options;
    if (unfinished.startIds.length === 0) return;
    log.info({ route, startIds: unfinished.startIds }, 'starts whose command nobody saw end are decided anew');
    await Promise.all(unfinished.startIds.map((id) => directory.endStart(route, id)));
    if (settings.startMode === 'each') this.#namesToReuse = unfinished.startIds.filter((id) => !isOneOfSeveral(id));
  }

  /** Enters what is missing in the directory, as far as there are lanes, and runs the command for it. */
  async #begin(): Promise<void> {
    const { directory, route, settings } = this.#options;
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts++) {
      const { plan, decision } = await assess(directory, route, settings, this.#force);
      if (decision.toStart === 0) {
        this.#refuseForce(decision);
        return;
      }
      const lanes = this.#takeLanes(decision.toStart);
      if (lanes.length === 0) return;
      const names = this.#nameStarts(settings.startMode === 'each' ? lanes.length : decision.toStart);
      if (await this.#enter(names, plan, lanes)) return this.#launch(names, lanes, plan, decision);
    }
    throw new Error(`the starts of ${route} could not be entered: they changed ${CONFLICTS_MAX} times meanwhile`);
  }

  #takeLanes(toStart: number): Release[] {
    const { settings, lanes } = this.#options;
    if (settings.startMode === 'each') return lanes.take(toStart);
    // "Scale to five" and "scale to six" must not overtake each other.
    return this.#running.size > 0 ? [] : lanes.take(1);
  }

  #nameStarts(count: number): string[] {
    if (this.#options.settings.startMode === 'total') return severalOf(newStartId(), count);
    return Array.from({ length: count }, () => this.#namesToReuse.shift() ?? newStartId());
  }

  async #enter(names: readonly string[], plan: StartPlan, lanes: readonly Release[]): Promise<boolean> {
    const { directory, route, settings } = this.#options;
    let entered = false;
    try {
      // Named before they are entered. If the directory breaks off now they may be entered, and stay named.
      for (const name of names) this.#open.add(name);
      await this.#remember();
      entered = await directory.beginStarts(route, names, settings.startTimeoutMs, plan);
    } finally {
      if (!entered) for (const release of lanes) release();
    }
    if (!entered) for (const name of names) this.#open.delete(name);
    return entered;
  }

  #launch(names: readonly string[], lanes: readonly Release[], plan: StartPlan, { desired }: Decision): void {
    this.#force = Math.max(0, this.#force - names.length);
    const { held, ready } = plan;
    const together = this.#options.settings.startMode === 'total';
    for (const [index, release] of lanes.entries()) {
      const own = together ? names : names.slice(index, index + 1);
      const order: StartOrder = { startId: nameOf(own), desired, count: own.length, held, ready };
      const running = this.#runToTheEnd(order, own).finally(() => {
        release();
        this.#running.delete(running);
      });
      this.#running.add(running);
    }
  }

  async #runToTheEnd(order: StartOrder, names: readonly string[]): Promise<void> {
    try {
      await this.#options.run(order);
      this.#started += names.length;
      for (const name of names) this.#open.delete(name);
    } catch (error) {
      this.#note(error);
      this.#failed += names.length;
      await this.#endStarts(names);
    }
    await this.#remember();
  }

  #note(error: unknown): void {
    this.#failures.push(error instanceof Error ? error : new Error(String(error)));
  }

  async #endStarts(names: readonly string[]): Promise<void> {
    const { directory, route, log } = this.#options;
    try {
      await Promise.all(names.map((name) => directory.endStart(route, name)));
      for (const name of names) this.#open.delete(name);
    } catch (error) {
      // They stay among the unfinished ones: the next try takes them back, or their deadline does.
      log.warn({ reason: reasonOf(error), route }, 'a failed start could not be taken out of the directory yet');
    }
  }

  /** What is asked for beyond the maximum will not be started later either: nobody would expect it then. */
  #refuseForce({ desired }: Decision): void {
    const { route, log } = this.#options;
    if (this.#force > 0) log.warn({ route, desired, refused: this.#force }, 'no more instances than the maximum are started');
    this.#force = 0;
  }

  #remember(): Promise<void> {
    const force = Math.min(this.#options.unfinished.force, this.#force + this.#failed + this.#open.size);
    return this.#options.remember({ force, startIds: [...this.#open] });
  }

  async #commandEndedOrTimePassed(): Promise<void> {
    const abandon = new AbortController();
    const timer = delay(LOOK_AGAIN_MS, undefined, { signal: abandon.signal }).catch(() => undefined);
    await Promise.race([timer, ...this.#running]);
    abandon.abort();
  }
}

/** The names of `count` starts that one command begins; their linkers don't know which of them they are. */
function severalOf(startId: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${startId}:${index + 1}`);
}

function isOneOfSeveral(name: string): boolean {
  return name.includes(':');
}

function nameOf(names: readonly string[]): string {
  return names[0]?.split(':')[0] ?? '';
}
