/**
 * The connection for commands. Commands do not wait while Redis is away: they fail at once while it is disconnected, and
 * a Redis that does not answer soon counts as disconnected.
 */

import { attempt, guard, internalError } from '../../boundary.ts';
import { reasonOf } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { DirectoryUnavailable } from '../directory.ts';
import { LeftOut } from '../left-out.ts';
import { type ClientOptions, createRedisClient, type RedisClient } from './client.ts';
import { SCRIPTS, type ScriptName } from './scripts.ts';

/** A connection with pending commands and no received byte for this time is cut: Redis or the network is frozen. */
const SILENCE_MS_MAX = 2_000;
const CONNECT_TIMEOUT_MS = 2_000;
const RECONNECT_MS_MAX = 1_000;
/** A closed connection that the other side does not close too is cut after this. */
const DISCONNECT_TIMEOUT_MS = 200;
/** A Redis that refuses commands is logged this often, not with each of them. */
const REFUSAL_LOG_MS = 30_000;
/** How long a refusal counts. A joined node tries again with each beat, once a second. */
const REFUSAL_LIVES_MS = 3_000;
/** After the refusal of a replica the connection is closed at most once in this time: without a master, another connection is no better. */
const REPLICA_RECONNECT_MS = 5_000;

type Argument = string | number;

export class RedisConnection {
  readonly client: RedisClient;
  /** Logs entries of this Redis that are not used. */
  readonly leftOut: LeftOut;
  readonly #log: Log;
  readonly #callbacks: ((connected: boolean) => void)[] = [];
  #commands = 0;
  #connected = false;
  #closed = false;
  /** Failed attempts to connect since the last connection. */
  #failures = 0;
  /** The reason of the last failure. */
  #reason = '';
  #refusalLoggedAt = Number.NEGATIVE_INFINITY;
  #refused: { readonly reason: string; readonly at: number } | null = null;

  /** `url`: as config/redis-url.ts says. */
  constructor(url: string, log: Log) {
    this.#log = log;
    this.leftOut = new LeftOut(log);
    this.client = createRedisClient(url, clientOptions(), { shardedSubscribers: true, slotsRefreshTimeout: SILENCE_MS_MAX });
    for (const [name, script] of Object.entries(SCRIPTS)) this.client.defineCommand(commandName(name), script);
    this.client.on(
      'ready',
      guard('directory', () => this.#became(true)),
    );
    this.client.on(
      'close',
      guard('directory', () => this.#became(false)),
    );
    this.client.on(
      'error',
      guard('directory', (error: Error) => this.#failed(error)),
    );
  }

  get connected(): boolean {
    return this.#connected;
  }

  get commands(): number {
    return this.#commands;
  }

  /** Why Redis refuses commands although it answers (full, a replica, missing rights); null without a recent refusal. */
  get refusal(): string | null {
    const isLate = this.#refused !== null && performance.now() - this.#refused.at < REFUSAL_LIVES_MS;
    return isLate ? (this.#refused?.reason ?? null) : null;
  }

  onConnected(callback: (connected: boolean) => void): void {
    this.#callbacks.push(callback);
  }

  /** Resolves when connected; rejects with `DirectoryUnavailable` after `timeoutMs`. */
  async ready(timeoutMs: number): Promise<void> {
    if (this.#connected) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = (): void => {
      const why = this.#reason === '' ? '' : `: ${this.#reason}`;
      reject(new DirectoryUnavailable(`Redis does not answer within ${timeoutMs} ms${why}`));
    };
    const timer = setTimeout(late, timeoutMs);
    this.#callbacks.push(() => resolve());
    await promise.finally(() => clearTimeout(timer));
  }

  /** Runs a script. Its arguments are in the comment that opens its file. */
  run(name: ScriptName, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const commands = this.client as unknown as Record<string, (...args: Argument[]) => Promise<unknown>>;
    return this.#send(() => commands[commandName(name)]?.(...keys, ...args));
  }

  /** Sends one command. */
  call(command: string, ...args: Argument[]): Promise<unknown> {
    return this.#send(() => this.client.call(command, ...args));
  }

  /** As `call`, for what this user may not be allowed to ask: null then, and nothing is wrong. */
  async ask(command: string, ...args: Argument[]): Promise<unknown> {
    if (!this.#connected) return null;
    this.#commands++;
    return this.client.call(command, ...args).catch(() => null);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.client.disconnect();
  }

  async #send(command: () => Promise<unknown> | undefined): Promise<unknown> {
    if (!this.#connected) throw new DirectoryUnavailable('Redis is not connected');
    this.#commands++;
    try {
      return await command();
    } catch (error) {
      // Redis refuses: out of memory, read-only, missing rights. Otherwise the connection broke.
      if (error instanceof Error && error.name === 'ReplyError' && !isDataFault(error)) this.#refuses(error);
      throw new DirectoryUnavailable(reasonOf(error), { cause: error });
    }
  }

  #refuses(error: Error): void {
    const now = performance.now();
    this.#refused = { reason: reasonOf(error), at: now };
    if (now - this.#refusalLoggedAt < REFUSAL_LOG_MS) return;
    this.#refusalLoggedAt = now;
    this.#log.error({ reason: reasonOf(error) }, 'Redis refuses a command');
  }

  #became(connected: boolean): void {
    if (connected === this.#connected) return;
    this.#connected = connected;
    this.#failures = 0;
    if (this.#closed) return;
    if (connected) this.#log.info('connected to Redis');
    else this.#log.warn('disconnected from Redis');
    for (const callback of this.#callbacks) attempt('directory', () => callback(connected));
  }

  /** Every attempt to reconnect gives an error; the first one after a success is logged. */
  #failed(error: Error): void {
    this.#reason = reasonOf(error);
    if (this.#closed || this.#failures++ > 0) return;
    this.#log.warn({ reason: reasonOf(error) }, 'Redis connection failed');
  }
}

/** A reply that can't be read counts as no reply: the command is sent again. */
export function read<T>(reader: (reply: unknown) => T, reply: unknown): T {
  try {
    return reader(reply);
  } catch (error) {
    if (error instanceof DirectoryUnavailable) throw error;
    internalError('directory', error);
    throw new DirectoryUnavailable('a reply of Redis can not be read', { cause: error });
  }
}

/** Redis fails at a stored value: a key of another type, a count that is not a number. */
export function isDataFault(error: unknown): boolean {
  const reply = error instanceof DirectoryUnavailable ? error.cause : error;
  if (!(reply instanceof Error) || reply.name !== 'ReplyError') return false;
  return /^WRONGTYPE\b|^ERR .*(user_script|not an integer|not a valid float|would overflow|not a float)/.test(reply.message);
}

function commandName(script: string): string {
  return `pullproxy:${script}`;
}

function clientOptions(): ClientOptions {
  return {
    connectionName: 'pullproxy',
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_MS_MAX,
    // It is unknown whether a command without a reply happened. The member sends everything again; no command is sent twice.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: backoffMs,
    reconnectOnError: leavesReplicas(),
  };
}

/** A former master that became a replica takes no writes: its name may lead to the new one by now. */
function leavesReplicas(): (error: Error) => boolean {
  let leftAt = Number.NEGATIVE_INFINITY;
  return (error) => {
    const now = performance.now();
    if (!error.message.startsWith('READONLY') || now - leftAt < REPLICA_RECONNECT_MS) return false;
    leftAt = now;
    return true;
  };
}

/** A short pause at first, then up to a second, spread so that nodes don't connect all at once. */
function backoffMs(attempt: number): number {
  return Math.random() * Math.min(RECONNECT_MS_MAX, 50 * 2 ** Math.min(attempt, 10));
}
