/** Runs the commands of routes: the scaler's own, or the route's if the scaler allows that. Counts them by result. */
import { instanceIdOf, servedNameOf, startIdOf } from '../cluster/values.ts';
import { routeOf } from '../config/route-key.ts';
import type { RouteSettings } from '../config/route-settings.ts';
import type { Log } from '../log.ts';
import { type CommandResult, type CommandValues, runCommand } from './command.ts';
import type { OutputFiles } from './output-files.ts';
import type { StartOrder } from './start-round.ts';

export interface CommandRunnerOptions {
  /** The startup command of routes without one: program and arguments, with placeholders. May be empty. */
  readonly command: readonly string[];
  /** Cleans up after a start that failed: run instead of the stop command of routes that use the scaler's own startup command. */
  readonly cancelCommand?: readonly string[] | undefined;
  /** Routes may have their own commands: everybody who can set a route can then run programs as this user. */
  readonly allowRouteCommands?: boolean;
  readonly commandTimeoutMs: number;
  /** The environment of a command beside the variables of the start, see `selectCommandEnvironment`. */
  readonly environment: Readonly<Record<string, string>>;
  /** The files for output; absent: pipes of this process, which break when it ends. */
  readonly outputs?: OutputFiles | null;
  /** A startup command begins; the returned function is called when it has ended. */
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
  /** Absent when none of our starts began it. */
  readonly startId?: string | undefined;
}

const OUTPUT_BYTES_MAX = 8_192;

export class CommandRunner {
  readonly #options: CommandRunnerOptions;
  readonly #counts = new Map<string, { route: string; result: CommandOutcome; count: number }>();

  constructor(options: CommandRunnerOptions) {
    this.#options = options;
  }

  /** Startup commands by result. */
  get counts(): readonly CommandCount[] {
    return [...this.#counts.values()].map((count) => ({ ...count }));
  }

  /**
   * Runs the startup command. Calls `ended` with the result, also when it failed.
   * @throws Error when it failed, or when there is no command.
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
    this.#count(routeOf(route), failure === null ? 'ok' : result.timedOut ? 'timeout' : 'failed');
    if (failure === null) {
      log.info(facts, 'startup command finished');
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
    await this.#runToEnd('stop command finished', stopCommand, { route, startId, instance, count: 1, ...counts }, signal);
  }

  /** The command that cleans up after a start of the route; null when there is none, or none that may be run here. */
  cancelCommand({ command, stopCommand }: Pick<RouteSettings, 'command' | 'stopCommand'>): readonly string[] | null {
    const { cancelCommand, allowRouteCommands } = this.#options;
    // The scaler's own belongs to the startup command of the scaler.
    if (cancelCommand !== undefined && command === undefined) return cancelCommand;
    return allowRouteCommands === true ? (stopCommand ?? null) : null;
  }

  /** Cleans up after a start that failed. @throws Error when that failed. */
  async cancel(
    route: string,
    settings: Pick<RouteSettings, 'command' | 'stopCommand'>,
    startId: string,
    counts: Pick<CommandValues, 'desired' | 'held' | 'ready'>,
    signal?: AbortSignal,
  ): Promise<void> {
    const command = this.cancelCommand(settings);
    if (command === null) return;
    refuseOthersValues(route, startId);
    await this.#runToEnd('cancel command finished', command, { route, startId, count: 1, ...counts }, signal, 'cancel');
  }

  async #runToEnd(
    said: string,
    command: readonly string[],
    values: CommandValues,
    signal: AbortSignal | undefined,
    name?: string,
  ): Promise<void> {
    const { failure, exitCode, durationMs, output } = await this.#run(command, values, signal, name);
    const { route, instance, startId } = values;
    if (failure === null) this.#options.log.info({ route, instance, startId, exitCode, durationMs }, said);
    else throw new Error(output === '' ? failure : `${failure}\n${output}`);
  }

  /** Nothing is run for the route: it has no command, and this scaler has none of its own. */
  hasCommand({ command }: Pick<RouteSettings, 'command'>): boolean {
    return command !== undefined || this.#options.command.length > 0;
  }

  #startupCommand(route: string, { command }: Pick<RouteSettings, 'command'>): readonly string[] {
    const { command: own, allowRouteCommands } = this.#options;
    // The scaler's own command is no substitute: it would start another application.
    if (command !== undefined && allowRouteCommands !== true) throw new Error(`the command of ${route} is not run: ${NOT_ALLOWED}`);
    if (command === undefined && own.length === 0) throw new Error(`${route} has no command, and this scaler has none of its own`);
    return command ?? own;
  }

  async #run(command: readonly string[], values: CommandValues, signal: AbortSignal | undefined, name?: string): Promise<CommandResult> {
    const { commandTimeoutMs: timeoutMs, environment: env, outputs } = this.#options;
    const outputFile =
      outputs?.open(values.instance === undefined ? [...(name ? [name] : []), values.startId].join('-') : `stop-${values.instance}`) ??
      null;
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

  /** A start without a command. */
  counted(route: string, result: CommandOutcome): void {
    this.#count(routeOf(route), result);
  }

  #count(route: string, result: CommandOutcome): void {
    const key = `${result} ${route}`;
    const counted = this.#counts.get(key);
    if (counted) counted.count += 1;
    else this.#counts.set(key, { route, result, count: 1 });
  }
}

/** The last check before a command runs: these values come from Redis, and become names of containers, units and manifests. */
function refuseOthersValues(route: string, startId: string, instance?: string): void {
  if (servedNameOf(route) === null) throw new Error(`no command is run for ${quoted(route)}: it is not a route's name`);
  const isStart = startIdOf(startId) !== null && !startId.includes(':');
  if (!isStart && (startId !== '' || instance === undefined))
    throw new Error(`no command is run for ${quoted(startId)}: it is not a start id`);
  if (instance !== undefined && instanceIdOf(instance) === null) {
    throw new Error(`no command is run for ${quoted(instance)}: it is not an instance id`);
  }
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}

const NOT_ALLOWED = 'this scaler does not run commands of routes (--allow-route-commands)';
