import { type ChildProcess, spawn } from 'node:child_process';
import { guard } from '../boundary.ts';
import { ConfigError, WorkerEnded } from '../errors.ts';
import type { Failure, FromWorker, ToWorker } from './messages.ts';

const CALL_TIMEOUT_MS = 5_000;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `starting`: it does not serve yet. `leaving`: it was told to leave. */
type State = 'starting' | 'ready' | 'leaving' | 'over';

interface Call {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** One worker: a child process that says when it serves, and answers questions. */
export class WorkerProcess {
  /** Resolves with its facts when it serves; rejects when it ends before. */
  readonly ready: Promise<unknown>;
  readonly ended: Promise<Exit>;
  readonly startedAt = performance.now();
  /** Checks since its last beat; the supervisor counts them. */
  silentLooks = 0;
  /** It was asked to read the configuration anew. */
  onReloadAsked: () => void = () => {};
  /** Its last facts. */
  facts: unknown = null;
  readonly #child: ChildProcess;
  readonly #calls = new Map<number, Call>();
  readonly #isReady = Promise.withResolvers<unknown>();
  #nextCall = 0;
  #isLeaving = false;
  #failure: Error | null = null;
  #state: State = 'starting';

  /** `command`: the program and its arguments. It inherits the environment and the output of this process. */
  constructor(command: readonly [string, ...string[]]) {
    const [program, ...args] = command;
    this.#child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' });
    this.ready = this.#isReady.promise;
    // A rejection matters only to a caller that awaits it.
    this.ready.catch(() => {});
    this.ended = new Promise((resolve) => {
      const failed = guard('worker', (error: Error) => {
        // Later errors (a message that could not be sent) do not matter: the exit tells the end.
        if (this.#child.pid === undefined) this.#over({ code: 1, signal: null }, error.message, resolve);
      });
      const exited = guard('worker', (code: number | null, signal: NodeJS.Signals | null) =>
        this.#over({ code, signal }, `it ended with ${code ?? signal}`, resolve),
      );
      this.#child.on('error', failed);
      this.#child.once('exit', exited);
    });
    const heard = guard('worker', (message: unknown) => this.#hear(message as FromWorker));
    this.#child.on('message', heard);
  }

  get state(): State {
    return this.#state;
  }

  /** It was told to leave; it may have done so already. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** Why it could not start, as it said. */
  get failure(): Error | null {
    return this.#failure;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Asks the worker one of its questions. @throws its error, or when it does not answer in time */
  call(method: string, args: readonly unknown[] = []): Promise<unknown> {
    if (this.#state !== 'ready') return Promise.reject(new Error('the worker does not serve'));
    const call = this.#nextCall++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(call)?.reject(new Error('the worker does not answer')), CALL_TIMEOUT_MS);
      const settled = <T>(settle: (value: T) => void) => {
        return (value: T): void => {
          clearTimeout(timer);
          settle(value);
        };
      };
      this.#calls.set(call, { resolve: settled(resolve), reject: settled(reject) });
      this.#say({ t: 'call', call, method, args });
    });
  }

  /** Tells it to leave gracefully, and to serve on for `delayMs` before. */
  leave(delayMs = 0): void {
    if (this.#state === 'over' || this.#isLeaving) return;
    this.#isLeaving = true;
    // A worker that does not serve yet stays `starting`: it has nothing to drain.
    if (this.#state === 'ready') this.#state = 'leaving';
    this.#say({ t: 'leave', delayMs });
  }

  /** Gives it the keys of TLS session tickets that all workers have. */
  giveTicketKeys(keys: readonly Buffer[]): void {
    this.#say({ t: 'ticket-keys', keys });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #say(message: ToWorker): void {
    // It may have ended a moment ago: the exit event tells that.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #hear(message: FromWorker): void {
    this.silentLooks = 0;
    switch (message.t) {
      case 'ready':
        this.facts = message.facts;
        if (this.#state === 'starting') this.#state = this.#isLeaving ? 'leaving' : 'ready';
        this.#isReady.resolve(message.facts);
        return;
      case 'beat':
        this.facts = message.facts;
        return;
      case 'failed':
        this.#failure = errorOf(message.error);
        return;
      case 'reload':
        this.onReloadAsked();
        return;
      case 'answer':
        this.#settle(message.call)?.resolve(message.value);
        return;
      default:
        this.#settle(message.call)?.reject(errorOf(message.error));
    }
  }

  #settle(call: number): Call | undefined {
    const waiting = this.#calls.get(call);
    this.#calls.delete(call);
    return waiting;
  }

  #over(exit: Exit, why: string, resolve: (exit: Exit) => void): void {
    this.#state = 'over';
    for (const call of [...this.#calls.keys()]) this.#settle(call)?.reject(new Error('the worker has ended'));
    this.#isReady.reject(this.#failure ?? new WorkerEnded(`a worker can't start: ${why}`));
    resolve(exit);
  }
}

function errorOf({ name, message, problems, syscall, code }: Failure): Error {
  if (problems !== undefined) return new ConfigError(problems);
  const error = new Error(message);
  error.name = name;
  return Object.assign(error, syscall === undefined ? {} : { syscall }, code === undefined ? {} : { code });
}
