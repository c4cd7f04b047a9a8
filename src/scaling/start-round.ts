/**
 * One round of starting instances of one route: enter the missing starts, run the command for each, and look again while
 * it runs, because more clients come. The scaler and `dev` use it.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { customAlphabet } from 'nanoid';
import type { StartDirectory } from '../cluster/directory.ts';
import type { StartPlan } from '../cluster/starts.ts';
import { hasKey } from '../config/route-key.ts';
import type { RouteSettings } from '../config/route-settings.ts';
import { messageOf, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { NobodyTookIt } from './agent-starts.ts';
import { type Decision, decide } from './desired.ts';
import type { Allowed, Lanes, Release } from './lanes.ts';

/** After a failed round: pauses of 1, 2, 4 and 8 s, then the job has failed. Together they are shorter than a client is held. */
export const RETRY = { attempts: 5, firstMs: 1_000 } as const;

/** How often to look at a route while its commands run. */
const LOOK_AGAIN_MS = 250;
/** How often to look whether agents have room. */
const ROOM_LOOK_MS = 1_000;
/** Each conflict means that another scaler made progress, so this many in a row are a fault. */
const CONFLICTS_MAX = 50;

/** One run of the startup command. */
export interface StartOrder {
  /** The id of the start for the command. */
  readonly startId: string;
  readonly desired: number;
  readonly count: number;
  readonly held: number;
  readonly ready: number;
}

/** The state that an interrupted round leaves to the next one. */
export interface Unfinished {
  /** Starts whose command had not ended. */
  readonly startIds: readonly string[];
  /** Those among them that were wanted beyond the need of clients. */
  readonly wantedIds?: readonly string[];
}

export interface RoundResult {
  readonly started: number;
  /** More are missing and may be started after this time; null when none are. */
  readonly laterMs: number | null;
  /** None has begun, because the rate of all starts did not allow one. */
  readonly isLimited: boolean;
}

export interface RoundOptions {
  readonly directory: Pick<StartDirectory, 'startPlan' | 'beginStarts' | 'endStart' | 'wantInstances'>;
  readonly route: string;
  readonly settings: RouteSettings;
  readonly unfinished: Unfinished;
  readonly lanes: Lanes;
  readonly log: Log;
  /** Asks whether so many starts may begin now, by the rate of all starts; absent: they may. */
  allow?(starts: number, isFirst: boolean): Promise<Allowed>;
  /** So many starts may begin now, whatever is missing: the room of agents. Absent: no such limit. */
  readonly room?: (() => Promise<number>) | undefined;
  /** Runs the startup command, or gives the start to an agent; rejects when it failed, with `NobodyTookIt` when it is to be decided again. */
  run(order: StartOrder): Promise<void>;
  /** Called before and after each change, in case this process dies. Must not reject. */
  remember(unfinished: Unfinished): Promise<void>;
  /** When the round was asked for; performance.now() in ms. */
  readonly takenAt?: number;
  /** Once aborted, no more starts begin; running commands are waited for. */
  readonly stopping: AbortSignal;
}

/** The facts, and the decision that follows. Rejects when the directory does not answer: without data there is no decision. */
export async function assess(
  directory: Pick<StartDirectory, 'startPlan'>,
  route: string,
  settings: RouteSettings,
): Promise<{ plan: StartPlan; decision: Decision }> {
  const plan = await directory.startPlan(route);
  const isKey = hasKey(route);
  const decision = decide({
    ...plan,
    concurrency: plan.concurrency ?? settings.concurrency ?? null,
    min: isKey ? 0 : settings.minInstances,
    // A route with keys has none of its own, and a key of a route without keys is nobody's.
    max: isKey === (settings.key !== undefined) ? settings.maxInstances : 0,
    // There are as many containers as there are.
    isStrict: isKey || settings.source !== undefined,
    startIntervalMs: settings.startIntervalMs,
    maxStartsPerMinute: settings.maxStartsPerMinute ?? null,
  });
  return { plan, decision };
}

/**
 * Resolves when no more starts may begin now, and no command runs any more. Rejects, after the last command
 * has ended, if one of them failed. After a failure no more starts begin, because the next try has to wait.
 */
export function runRound(options: RoundOptions): Promise<RoundResult> {
  return new StartRound(options).run();
}

class StartRound {
  readonly #options: RoundOptions;
  /** Ids of unfinished starts. They are used again, so that a command that names things by them does not start anything twice. */
  #namesToReuse: string[] = [];
  /** Entered, and the command has not ended. */
  readonly #open = new Set<string>();
  /** Those that are wanted beyond the need of clients. */
  readonly #wanted = new Set<string>();
  readonly #running = new Set<Promise<void>>();
  readonly #failures: Error[] = [];
  #started = 0;
  #laterMs: number | null = null;
  /** Starts that are allowed and have not begun. */
  #allowed = 0;
  /** When to ask again for a start that was not allowed. */
  #limitedMs: number | null = null;
  /** Agents have said that they have no room. */
  #isFull = false;

  constructor(options: RoundOptions) {
    this.#options = options;
  }

  async run(): Promise<RoundResult> {
    await this.#takeBackUnfinished();
    await this.#begin();
    while (this.#running.size > 0) {
      await this.#commandEndedOrTimePassed();
      if (this.#failures.length === 0 && !this.#options.stopping.aborted) await this.#begin().catch((error) => this.#note(error));
    }
    const [first] = this.#failures;
    if (first === undefined) return this.#result();
    const others = this.#failures.length - 1;
    throw new Error(others === 0 ? first.message : `${first.message} (and ${others} more)`, { cause: first });
  }

  #result(): RoundResult {
    const waits = [this.#laterMs, this.#limitedMs].filter((ms) => ms !== null);
    const laterMs = waits.length === 0 ? null : Math.min(...waits);
    return { started: this.#started, laterMs, isLimited: this.#limitedMs !== null && this.#started === 0 };
  }

  async #takeBackUnfinished(): Promise<void> {
    const { route, unfinished, settings, log } = this.#options;
    if (unfinished.startIds.length === 0) return;
    log.info({ route, startIds: unfinished.startIds }, 'starts with an unknown end are decided again');
    for (const id of unfinished.wantedIds ?? []) this.#wanted.add(id);
    const waitedFor = await Promise.all(unfinished.startIds.map((id) => this.#takeBack(id)));
    // One that has linked has its instance already, and what one that was given up has left is being cancelled.
    if (settings.startMode === 'each') this.#namesToReuse = unfinished.startIds.filter((id, at) => waitedFor[at] && !isOneOfSeveral(id));
  }

  /** It is not known to have failed: it is only decided again. */
  async #takeBack(startId: string): Promise<boolean> {
    const { directory, route } = this.#options;
    const waitedFor = await directory.endStart(route, startId);
    if (this.#wanted.delete(startId)) await directory.wantInstances(route, 1);
    return waitedFor;
  }

  /** Enters the missing starts in the directory, as far as there are lanes, and runs the command for them. */
  async #begin(): Promise<void> {
    const { directory, route, settings } = this.#options;
    if (this.#isFull) return;
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts++) {
      const { plan, decision } = await assess(directory, route, settings);
      this.#laterMs = decision.laterMs;
      this.#limitedMs = null;
      if (decision.toStart === 0) return;
      const toStart = await this.#withRoom(decision.toStart);
      const lanes = await this.#allowedOf(this.#takeLanes(toStart));
      if (lanes.length === 0) return;
      const names = this.#nameStarts(settings.startMode === 'each' ? lanes.length : toStart);
      if (await this.#enter(names, plan, lanes)) return this.#launch(names, lanes, plan, decision);
    }
    throw new Error(`the starts of ${route} could not be entered: they changed ${CONFLICTS_MAX} times meanwhile`);
  }

  async #withRoom(toStart: number): Promise<number> {
    const room = (await this.#options.room?.()) ?? Number.POSITIVE_INFINITY;
    if (room < toStart) this.#laterMs ??= ROOM_LOOK_MS;
    return Math.min(room, toStart);
  }

  #takeLanes(toStart: number): Release[] {
    const { settings, lanes } = this.#options;
    if (settings.startMode === 'each') return lanes.take(toStart);
    // "Scale to five" and "scale to six" must not overtake each other.
    return this.#running.size > 0 ? [] : lanes.take(1);
  }

  /** The lanes whose starts may begin now; gives the others back. */
  async #allowedOf(lanes: Release[]): Promise<Release[]> {
    const { allow } = this.#options;
    if (allow === undefined || lanes.length === 0) return lanes;
    try {
      const more = lanes.length - this.#allowed;
      if (more > 0) {
        const { starts, waitMs } = await allow(more, this.#started + this.#running.size + this.#allowed === 0);
        this.#allowed += starts;
        if (starts < more) this.#limitedMs = waitMs;
      }
    } finally {
      for (const release of lanes.splice(this.#allowed)) release();
    }
    return lanes;
  }

  #nameStarts(count: number): string[] {
    if (this.#options.settings.startMode === 'total') return severalOf(newStartId(), count);
    return Array.from({ length: count }, () => this.#namesToReuse.shift() ?? newStartId());
  }

  async #enter(names: readonly string[], plan: StartPlan, lanes: readonly Release[]): Promise<boolean> {
    const { directory, route, settings, takenAt } = this.#options;
    const wanted = Math.min(plan.wanted, names.length);
    const jobAgeMs = takenAt === undefined ? 0 : performance.now() - takenAt;
    let entered = false;
    try {
      // Remembered before they are entered: if the directory breaks off now, they may be entered, and must stay known.
      for (const [index, name] of names.entries()) {
        this.#open.add(name);
        if (index < wanted) this.#wanted.add(name);
      }
      await this.#remember();
      entered = await directory.beginStarts(route, names, settings.startTimeoutMs, plan, { wanted, jobAgeMs });
    } finally {
      if (!entered) for (const release of lanes) release();
    }
    if (!entered) for (const name of names) this.#forget(name);
    return entered;
  }

  #launch(names: readonly string[], lanes: readonly Release[], plan: StartPlan, { desired }: Decision): void {
    const { held, ready } = plan;
    const together = this.#options.settings.startMode === 'total';
    this.#allowed = Math.max(0, this.#allowed - lanes.length);
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
      for (const name of names) this.#forget(name);
    } catch (error) {
      if (error instanceof NobodyTookIt) await this.#giveBack(names);
      else {
        this.#note(error);
        await this.#endStarts(names, messageOf(error));
      }
    }
    await this.#remember();
  }

  /** The round begins no more: the room was said to be more than it is. */
  async #giveBack(names: readonly string[]): Promise<void> {
    this.#isFull = true;
    this.#limitedMs = null;
    this.#laterMs = ROOM_LOOK_MS;
    try {
      await Promise.all(names.map((name) => this.#takeBack(name)));
      for (const name of names) this.#forget(name);
    } catch (error) {
      this.#note(error);
    }
  }

  #note(error: unknown): void {
    this.#failures.push(error instanceof Error ? error : new Error(String(error)));
  }

  #forget(name: string): void {
    this.#open.delete(name);
    this.#wanted.delete(name);
  }

  async #endStarts(names: readonly string[], reason: string): Promise<void> {
    const { directory, route, log } = this.#options;
    try {
      await Promise.all(names.map((name) => directory.endStart(route, name, { reason, wantedAgain: this.#wanted.has(name) })));
      for (const name of names) this.#forget(name);
    } catch (error) {
      // They stay unfinished: the next try removes them, or their deadline does.
      log.warn({ reason: reasonOf(error), route }, 'a failed start could not be removed from the directory yet');
    }
  }

  #remember(): Promise<void> {
    return this.#options.remember({ startIds: [...this.#open], wantedIds: [...this.#wanted] });
  }

  async #commandEndedOrTimePassed(): Promise<void> {
    const abandon = new AbortController();
    const timer = delay(LOOK_AGAIN_MS, undefined, { signal: abandon.signal }).catch(() => undefined);
    await Promise.race([timer, ...this.#running]);
    abandon.abort();
  }
}

/** The ids of `count` starts that one command begins; their linkers don't know which of them they are. */
function severalOf(startId: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${startId}:${index + 1}`);
}

function isOneOfSeveral(name: string): boolean {
  return name.includes(':');
}

function nameOf(names: readonly string[]): string {
  return names[0]?.split(':')[0] ?? '';
}

/** Lower-case letters and digits, with a letter first, so that an id fits into names of pods, containers, units and hosts. */
const letter = customAlphabet('abcdefghijklmnopqrstuvwxyz', 1);
const rest = customAlphabet('abcdefghijklmnopqrstuvwxyz0123456789', 11);

/** 61 bits: among a million ids the chance of a pair is below one in four million. */
export function newStartId(): string {
  return letter() + rest();
}
