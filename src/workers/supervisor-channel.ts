/** A worker's end of the channel to its supervisor. */
import { guard, unawaited } from '../boundary.ts';
import { ConfigError } from '../errors.ts';
import { BEAT_MS, type Failure, type FromWorker, type ToWorker } from './messages.ts';

/** The questions that a supervisor may ask: plain values in, plain values out. */
export type Questions = Readonly<Record<string, (...args: never[]) => unknown>>;

export class SupervisorChannel {
  /** Resolves when the supervisor wants this process to leave, with for how long it is to serve on before; or is gone itself. */
  readonly left: Promise<number>;
  /** Resolves when the supervisor has given keys of TLS session tickets for the first time. */
  readonly ticketKeysGiven: Promise<void>;
  #ticketKeys: readonly Buffer[] = [];
  #useTicketKeys: (keys: readonly Buffer[]) => void = () => {};
  #questions: Questions = {};
  #beat: NodeJS.Timeout | null = null;

  /** @throws when this process has no supervisor */
  constructor() {
    if (process.send === undefined) throw new Error('only a supervisor starts a worker');
    const given = Promise.withResolvers<void>();
    this.ticketKeysGiven = given.promise;
    this.left = new Promise((resolve) => {
      process.once('disconnect', () => resolve(0));
      // The supervisor was killed while this module was loaded, so the event has passed.
      if (!process.connected) resolve(0);
      const heard = guard('worker', (message: unknown) => {
        const told = message as ToWorker;
        if (told.t === 'leave') resolve(told.delayMs);
        else if (told.t === 'call') unawaited('worker', this.#answer(told));
        else {
          this.#ticketKeys = told.keys.map((key) => Buffer.from(key));
          this.#useTicketKeys(this.#ticketKeys);
          given.resolve();
        }
      });
      process.on('message', heard);
    });
  }

  /** Calls `use` with the current keys, and with each later set. */
  followTicketKeys(use: (keys: readonly Buffer[]) => void): void {
    this.#useTicketKeys = use;
    if (this.#ticketKeys.length > 0) use(this.#ticketKeys);
  }

  /** This process serves; `facts` is read again with each beat. */
  ready(facts: () => unknown, questions: Questions): void {
    this.#questions = questions;
    say({ t: 'ready', facts: facts() });
    const beat = guard('timer', () => say({ t: 'beat', facts: facts() }));
    this.#beat = setInterval(beat, BEAT_MS);
  }

  /** Says that this process can't start. Resolves when the message is sent. */
  failed(error: unknown): Promise<void> {
    return new Promise((resolve) => say({ t: 'failed', error: failureOf(error) }, resolve));
  }

  /** Somebody asked this worker to read the configuration anew: all of them should. */
  askToReload(): void {
    say({ t: 'reload' });
  }

  close(): void {
    if (this.#beat !== null) clearInterval(this.#beat);
  }

  async #answer({ call, method, args }: Extract<ToWorker, { t: 'call' }>): Promise<void> {
    try {
      const question = Object.hasOwn(this.#questions, method) ? this.#questions[method] : undefined;
      if (question === undefined) throw new Error(`no question "${method}"`);
      say({ t: 'answer', call, value: await question(...(args as never[])) });
    } catch (error) {
      say({ t: 'failure', call, error: failureOf(error) });
    }
  }
}

function say(message: FromWorker, said: () => void = () => {}): void {
  // `disconnect` notices a supervisor that has ended.
  if (process.connected) process.send?.(message, undefined, undefined, () => said());
  else said();
}

function failureOf(error: unknown): Failure {
  if (error instanceof ConfigError) return { name: error.name, message: error.message, problems: error.problems };
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const refused = 'syscall' in error ? { syscall: String(error.syscall), ...('code' in error ? { code: String(error.code) } : {}) } : {};
  return { name: error.name, message: error.message, ...refused };
}
