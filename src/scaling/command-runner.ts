/** Runs the commands of routes: the scaler's own, or the route's where the scaler allows that; counts them and says what came of them. */
import { instanceIdOf, routeNameOf, startIdOf } from '../cluster/values.ts';
import type { RouteSettings } from '../config/route-settings.ts';
import type { Log } from '../log.ts';
import { type CommandResult, type CommandValues, runCommand } from './command.ts';
import type { OutputFiles } from './output-files.ts';
import type { StartOrder } from './start-round.ts';

export interface CommandRunnerOptions {
  /** The startup command of routes that name none: program and arguments, with placeholders. May be empty. */
  readonly command: readonly string[];
  /** Routes may name their own: whoever may set a route may then run programs as this user. */
  readonly allowRouteCommands?: boolean;
  readonly commandTimeoutMs: number;
  /** What a command sees beside the start's own variables, see `selectCommandEnvironment`. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where commands write to; absent: into pipes of this process, which break with it. */
  readonly outputs?: OutputFiles | null;
  /** A startup command begins; what it returns is called when it has ended. */
  readonly began?: (facts: StartedCommand) => (exitCode: number | null, failure: string | null) => void;
  readonly log: Log;
}

export interface StartedCommand {
  readonly route: string;
  readonly startId: string;
  readonly count: number;
  readonly desired: number;
}

export type CommandOutcome = 'ok' | 'failed' | 'timeout';

export interface CommandCount {
  readonly route: string;
  readonly result: CommandOutcome;
  readonly count: number;
}

/** An instance that has left. */
export interface Leaver {
  readonly instance: string;
  /** Absent when no start of ours began it. */
  readonly startId?: string | undefined;
}

const OUTPUT_BYTES_MAX = 8_192;

export class CommandRunner {
  readonly #options: CommandRunnerOptions;
  readonly #counts = new Map<string, { route: string; result: CommandOutcome; count: number }>();

  constructor(options: CommandRunnerOptions) {
    this.#options = options;
  }

  /** Startup commands by what came of them. */
  get counts(): readonly CommandCount[] {
    return [...this.#counts.values()].map((count) => ({ ...count }));
  }

  /**
   * Runs the startup command. `ended` is told how it ended, also when it failed.
   * @throws Error when it failed, or there is none to run.
   */
  async start(
    route: string,
    settings: Pick<RouteSettings, 'command'>,
    order: StartOrder,
    ended: (result: CommandResult) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const { log } = this.#options;
    refuseOthersValues(route, order.startId);
    const command = this.#startupCommand(route, settings);
    const over = this.#options.began?.({ route, startId: order.startId, count: order.count, desired: order.desired });
    const result = await this.#run(command, { route, ...order }, signal);
    over?.(result.exitCode, result.failure);
    ended(result);
    const { failure, exitCode, durationMs, output } = result;
    const facts = { route, startId: order.startId, count: order.count, desired: order.desired, exitCode, durationMs };
    this.#count(route, failure === null ? 'ok' : result.timedOut ? 'timeout' : 'failed');
    if (failure === null) {
      log.info(facts, 'startup command has run');
      return;
    }
    log.warn({ ...facts, output }, failure);
    throw new Error(output === '' ? failure : `${failure}\n${output}`);
  }

  /** Runs the route's stop command, if it has one. @throws Error when it failed. */
  async stop(
    route: string,
    { stopCommand }: Pick<RouteSettings, 'stopCommand'>,
    leaver: Leaver,
    counts: Pick<CommandValues, 'desired' | 'held' | 'ready'>,
    signal?: AbortSignal,
  ): Promise<void> {
    if (stopCommand === undefined) return;
    if (this.#options.allowRouteCommands !== true) throw new Error(`the route's stopCommand is not run: ${NOT_ALLOWED}`);
    const { instance, startId = '' } = leaver;
    refuseOthersValues(route, startId, instance);
    const result = await this.#run(stopCommand, { route, startId, instance, count: 1, ...counts }, signal);
    const { failure, exitCode, durationMs, output } = result;
    const facts = { route, instance, startId, exitCode, durationMs };
    if (failure === null) this.#options.log.info(facts, 'stop command has run');
    else throw new Error(output === '' ? failure : `${failure}\n${output}`);
  }

  #startupCommand(route: string, { command }: Pick<RouteSettings, 'command'>): readonly string[] {
    const { command: own, allowRouteCommands } = this.#options;
    // Not the scaler's own instead: that would start another application than the one that was asked for.
    if (command !== undefined && allowRouteCommands !== true) throw new Error(`the command of ${route} is not run: ${NOT_ALLOWED}`);
    if (command === undefined && own.length === 0) throw new Error(`${route} names no command, and this scaler has none of its own`);
    return command ?? own;
  }

  async #run(command: readonly string[], values: CommandValues, signal: AbortSignal | undefined): Promise<CommandResult> {
    const { commandTimeoutMs: timeoutMs, environment: env, outputs } = this.#options;
    const outputFile = outputs?.open(values.instance === undefined ? values.startId : `stop-${values.instance}`) ?? null;
    try {
      return await runCommand(command, values, {
        timeoutMs,
        env,
        outputBytesMax: OUTPUT_BYTES_MAX,
        outputFile,
        ...(signal ? { signal } : {}),
      });
    } finally {
      outputFile?.close();
    }
  }

  #count(route: string, result: CommandOutcome): void {
    const key = `${result} ${route}`;
    const counted = this.#counts.get(key);
    if (counted) counted.count += 1;
    else this.#counts.set(key, { route, result, count: 1 });
  }
}

/** The last look before anything runs: these values come from Redis, and end up in the names of containers, units and manifests. */
function refuseOthersValues(route: string, startId: string, instance?: string): void {
  if (routeNameOf(route) === null) throw new Error(`no command is run for ${quoted(route)}: it is no name of a route`);
  const isStart = startIdOf(startId) !== null && !startId.includes(':');
  if (!isStart && (startId !== '' || instance === undefined))
    throw new Error(`no command is run for ${quoted(startId)}: it is no start id`);
  if (instance !== undefined && instanceIdOf(instance) === null) {
    throw new Error(`no command is run for ${quoted(instance)}: it is no instance id`);
  }
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}

const NOT_ALLOWED = "this scaler runs no routes' commands (--allow-route-commands)";
